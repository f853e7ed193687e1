"""A partner that orders by a contract of its own, and the protocol file that serves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

WSDL = """<wsdl:definitions name="Shop" targetNamespace="urn:shop:orders" xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"
    xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:o="urn:shop:orders">
  <wsdl:types><xs:schema targetNamespace="urn:shop:orders" elementFormDefault="qualified">
    <xs:include schemaLocation="shop-types.xsd"/>
    <xs:element name="PlaceOrder"><xs:complexType><xs:sequence>
      <xs:element name="reference" type="o:Reference"/>
      <xs:element name="buyer" type="o:Buyer"/>
      <xs:element name="line" type="o:Line" maxOccurs="20"/>
    </xs:sequence></xs:complexType></xs:element>
    <xs:element name="PlaceOrderResponse"><xs:complexType><xs:sequence>
      <xs:element name="orderNumber" type="xs:string"/><xs:element name="status" type="o:Status"/>
    </xs:sequence></xs:complexType></xs:element>
    <xs:element name="FindOrder"><xs:complexType><xs:choice>
      <xs:element name="orderNumber" type="xs:string"/><xs:element name="reference" type="o:Reference"/>
    </xs:choice></xs:complexType></xs:element>
    <xs:element name="FindOrderResponse"><xs:complexType><xs:sequence>
      <xs:element name="found" type="xs:boolean"/>
      <xs:element name="order" minOccurs="0"><xs:complexType><xs:sequence>
        <xs:element name="orderNumber" type="xs:string"/><xs:element name="status" type="o:Status"/>
        <xs:element name="line" type="o:Line" maxOccurs="unbounded"/>
      </xs:sequence></xs:complexType></xs:element>
    </xs:sequence></xs:complexType></xs:element>
    <xs:element name="Login"><xs:complexType><xs:sequence>
      <xs:element name="user" type="xs:string"/><xs:element name="password" type="xs:string"/>
    </xs:sequence></xs:complexType></xs:element>
    <xs:element name="LoginResponse"><xs:complexType><xs:sequence>
      <xs:element name="ticket" type="xs:string"/>
    </xs:sequence></xs:complexType></xs:element>
    <xs:element name="Logout"><xs:complexType/></xs:element><xs:element name="LogoutResponse"><xs:complexType/></xs:element>
    <xs:element name="Ticket" type="xs:string"/>
    <xs:element name="OrderError"><xs:complexType><xs:sequence>
      <xs:element name="number" type="xs:int"/><xs:element name="why" type="xs:string"/>
      <xs:element name="where" type="xs:string" minOccurs="0"/>
    </xs:sequence></xs:complexType></xs:element>
  </xs:schema></wsdl:types>
  {messages}
  <wsdl:message name="Ticket"><wsdl:part name="Ticket" element="o:Ticket"/></wsdl:message>
  <wsdl:message name="OrderError"><wsdl:part name="fault" element="o:OrderError"/></wsdl:message>
  <wsdl:portType name="Orders">{operations}</wsdl:portType>
  <wsdl:binding name="OrdersSoap" type="o:Orders">
    <soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>{bindings}</wsdl:binding>
  <wsdl:service name="Shop"><wsdl:port name="Orders" binding="o:OrdersSoap"><soap:address location="http://shop.example/orders"/></wsdl:port>
  </wsdl:service>
</wsdl:definitions>"""

TYPES = """<xs:schema targetNamespace="urn:shop:orders" elementFormDefault="qualified" xmlns:xs="http://www.w3.org/2001/XMLSchema"
    xmlns:o="urn:shop:orders">
  <xs:simpleType name="Reference"><xs:restriction base="xs:string"><xs:pattern value="[A-Z0-9-]{1,20}"/></xs:restriction></xs:simpleType>
  <xs:simpleType name="Status"><xs:restriction base="xs:string">
    <xs:enumeration value="OPEN"/><xs:enumeration value="DONE"/></xs:restriction></xs:simpleType>
  <xs:complexType name="Buyer"><xs:simpleContent><xs:extension base="xs:string">
    <xs:attribute name="id" type="xs:string" use="required"/></xs:extension></xs:simpleContent></xs:complexType>
  <xs:complexType name="Line"><xs:sequence><xs:element name="plan" type="xs:string"/></xs:sequence>
    <xs:attribute name="count" type="xs:int"/></xs:complexType>
</xs:schema>"""

NAMES = ("PlaceOrder", "FindOrder", "Login", "Logout")
MESSAGES = "".join(f'<wsdl:message name="{n}{end}"><wsdl:part name="p" element="o:{n}{end}"/></wsdl:message>'
                   for n in NAMES for end in ("", "Response"))
OPERATIONS = "".join(f'<wsdl:operation name="{n}"><wsdl:input message="o:{n}"/><wsdl:output message="o:{n}Response"/>'
                     f'<wsdl:fault name="OrderError" message="o:OrderError"/></wsdl:operation>' for n in NAMES)
HEADER = '<soap:header message="o:Ticket" part="Ticket" use="literal"/>'
BINDINGS = "".join(f'<wsdl:operation name="{n}"><soap:operation soapAction="urn:shop:orders/{n}"/><wsdl:input>'
                   f'{"" if n == "Login" else HEADER}<soap:body use="literal"/></wsdl:input>'
                   f'<wsdl:output><soap:body use="literal"/></wsdl:output>'
                   f'<wsdl:fault name="OrderError"><soap:fault name="OrderError" use="literal"/></wsdl:fault></wsdl:operation>'
                   for n in NAMES)

PROTOCOL = r"""
protocol: shop
transport: soap
wsdl: wsdl/shop.wsdl
codes:
  status: {acknowledged: OPEN, inProgress: OPEN, completed: DONE}
soap:
  fault_code: $OrderError.number
  fault_text: $OrderError.why
serves:
  failures:
    invalid: {code: "12", text: not right, fields: {OrderError.where: {from: $field}}}
    authentication: {code: "13", text: who are you}
    state: {code: "14"}
  commands:
    PlaceOrder:
      request: SubmitProductOrder
      context: {idempotencyKey: {from: $reference}}
      takes:
        externalId: {from: $reference, required: true}
        relatedParty.id: {from: $buyer.id, required: true}
        relatedParty.name: {from: $buyer._text, required: true}
        productOrderItem:
          list:
            each: $line
            fields:
              id: {from: "{index}"}
              action: {from: add}
              quantity: {from: $item.count, type: integer, default: 1}
              productOffering: {from: $item.plan, required: true, codes: {BASIC: mobile-basic, PLUS: mobile-plus}}
      answer: {fields: {orderNumber: {from: $id}, status: {from: $state, codes: status}}}
    FindOrder:
      request: GetProductOrder
      takes: {id: {from: $orderNumber}, externalId: {from: $reference}}
      answer:
        fields:
          found: {from: true, type: boolean}
          order.orderNumber: {from: $id}
          order.status: {from: $state, codes: status}
          order.line: {list: {each: $productOrderItem, fields: {plan: {from: $item.productOffering}, count: {from: $item.quantity}}}}
      failures:
        notFound: {fields: {found: {from: false, type: boolean}}}
"""

SESSION = """
login: {command: Login, fields: {user: {from: $user}, password: {from: $secret}}}
keep: {ticket: $fields.ticket}
headers: {Ticket: {from: $session.ticket}}
logout: {command: Logout}
"""


def site(folder: Path, *, session: bool = False) -> dict[str, Any]:
    """Write the contract below `folder`, and return the protocol file's data."""
    wsdl = folder / "protocols/wsdl"
    wsdl.mkdir(parents=True, exist_ok=True)
    (wsdl / "shop.wsdl").write_text(WSDL.format(messages=MESSAGES, operations=OPERATIONS, bindings=BINDINGS))
    (wsdl / "shop-types.xsd").write_text(TYPES)
    data: dict[str, Any] = yaml.safe_load(PROTOCOL)
    if session:
        data["soap"]["session"] = yaml.safe_load(SESSION)
    return data
