"""Hand-written messages."""

from __future__ import annotations

V11 = "http://schemas.xmlsoap.org/soap/envelope/"
V12 = "http://www.w3.org/2003/05/soap-envelope"

SUBMIT = ("<u:SubmitProductOrder><u:externalId>E-1</u:externalId>"
          "<u:relatedParty><u:id>C1</u:id><u:name>Ann Lee</u:name><u:role>customer</u:role></u:relatedParty>"
          "<u:productOrderItem><u:id>1</u:id><u:action>add</u:action><u:quantity>2</u:quantity>"
          "<u:productOffering>mobile-basic</u:productOffering>"
          "<u:productCharacteristic><u:name>MSISDN</u:name><u:value>4670000001</u:value></u:productCharacteristic>"
          "<u:productCharacteristic><u:name>IMSI</u:name><u:value>240010000000001</u:value></u:productCharacteristic>"
          "</u:productOrderItem></u:SubmitProductOrder>")
GET = "<u:GetProductOrder><u:id>PO1</u:id></u:GetProductOrder>"


def soap(body: str = GET, header: str = "", version: str = V11, prolog: str = "") -> str:
    header = f"<s:Header>{header}</s:Header>" if header else ""
    return f'{prolog}<s:Envelope xmlns:s="{version}" xmlns:u="urn:uip:1">{header}<s:Body>{body}</s:Body></s:Envelope>'


def key(value: str) -> str:
    return f"<u:Context><u:idempotencyKey>{value}</u:idempotencyKey></u:Context>"
