"""A SOAP client made from the gateway's own WSDL by zeep, as a partner's program would be."""

from __future__ import annotations

from typing import Any

from core.messages.base import BusinessObject
from core.messages.failures import Failure, Kind
from gateway.clients import Unreachable, operation_of
from plugins.checking import checked

_SECONDS = 60.0


class SoapClient:
    """See `gateway.clients.Client`. Credentials go as HTTP Basic."""

    def __init__(self, url: str, party: str, secret: str) -> None:
        import requests
        import zeep
        from zeep.plugins import HistoryPlugin

        self.said: list[tuple[str, str]] = []
        self._history = HistoryPlugin(maxlen=1)
        session = requests.Session()
        session.auth = (party, secret)
        session.trust_env = False  # no proxy stands between us and a gateway named by its address
        try:
            transport = zeep.Transport(session=session, timeout=_SECONDS, operation_timeout=_SECONDS)
            self._client = zeep.Client(f"{url}?wsdl", transport=transport, plugins=[self._history])
        except (requests.RequestException, zeep.exceptions.Error) as error:
            raise Unreachable(f"no WSDL at {url}?wsdl: {type(error).__name__}") from None
        # The address that was asked for, not the one the WSDL was made with: there may be a tunnel or a proxy between.
        self._service = self._client.create_service(next(iter(self._client.wsdl.bindings)), url)

    def call(self, request: BusinessObject, key: str | None = None) -> BusinessObject:
        """See `Client.call`."""
        import requests
        import zeep
        from zeep.helpers import serialize_object

        operation = operation_of(request)
        try:
            ask = self._service[operation.name]
        except AttributeError:
            raise Failure(Kind.UNKNOWN_OPERATION, f"{operation.name} is not offered there") from None
        headers = {"_soapheaders": {"Context": {"idempotencyKey": key}}} if key is not None else {}
        body = request.model_dump(mode="python", exclude_none=True, exclude_unset=True)
        try:
            reply = ask(**_plain(body), **headers)
        except zeep.exceptions.Fault as fault:
            raise _failure(fault) from None
        except zeep.exceptions.ValidationError as error:
            raise Failure(Kind.INVALID, f"not as the WSDL wants it: {error}") from None
        except requests.RequestException as error:
            raise Unreachable(f"the SOAP listener did not answer: {type(error).__name__}") from None
        finally:
            self._note()
        return checked(operation.reply, _present(serialize_object(reply, dict)))

    def close(self) -> None:
        """Close the connections."""
        self._client.transport.session.close()

    def _note(self) -> None:
        from lxml import etree

        for arrow, exchange in ((">", self._history._buffer[-1]["sent"] if self._history._buffer else None),
                                ("<", self._history._buffer[-1]["received"] if self._history._buffer else None)):
            if exchange is not None:
                self.said.append((arrow, etree.tostring(exchange["envelope"], pretty_print=True).decode()))


def _plain(value: Any) -> Any:
    """Enumerations as their texts: zeep knows no others."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, str) else value


def _present(value: Any) -> Any:
    """Leave out what is not there: zeep gives absent elements as None."""
    if isinstance(value, dict):
        return {name: _present(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_present(inner) for inner in value]
    return value


def _failure(fault: Any) -> Failure:
    """Read the failure out of a fault's detail, or out of its code where there is none."""
    detail = {el.tag.rpartition("}")[2]: el.text for el in fault.detail.iter()} if fault.detail is not None else {}
    code = detail.get("code")
    kind = Kind(code) if code in list(Kind) else Kind.INTERNAL
    failure = Failure(kind, detail.get("message") or str(fault.message), detail.get("field"))
    failure.correlation_id = detail.get("correlationId")
    return failure
