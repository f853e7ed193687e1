"""Contract-first SOAP: a partner's WSDL as both sides of it speak it, without sockets. See README.md beside this file."""

from protocols.soap.foreign.codec import Call, Outgoing, Refused, Reply, SoapClientCodec, SoapServerCodec
from protocols.soap.foreign.contract import Contract, Operation, UnsoundContract, load_contract
from protocols.soap.foreign.documents import ContractError, Problem
from protocols.soap.foreign.envelope import Limits, UsernameToken
from protocols.soap.foreign.fetching import fetch
from protocols.soap.foreign.partner import check, contract_of, reply_headers
from protocols.soap.foreign.publishing import Published

__all__ = ["Call", "Contract", "ContractError", "Limits", "Operation", "Outgoing", "Problem", "Published", "Refused", "Reply",
           "SoapClientCodec", "SoapServerCodec", "UnsoundContract", "UsernameToken", "check", "contract_of", "fetch", "load_contract",
           "reply_headers"]
