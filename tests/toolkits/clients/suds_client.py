"""suds-community; see node_soap.js."""

import base64
import sys

from suds import WebFault
from suds.client import Client
from suds.transport.http import HttpAuthenticated

url, name = sys.argv[1:]
client = Client(url, transport=HttpAuthenticated(username="crm", password="crm-secret"), cache=None)
context = client.factory.create("Context")
context.idempotencyKey = name
client.set_options(soapheaders=context)
made = client.service.SubmitProductOrder(
    externalId=name, relatedParty={"id": "C1", "name": "Ann Lee", "role": "customer"},
    productOrderItem=[{"id": "1", "action": "add", "quantity": 1, "productOffering": "mobile-basic"}])
sys.stdout.write(f"call {made.id} {made.state}\n")
try:
    client.service.GetProductOrder(id="nope")
except WebFault as fault:
    sys.stdout.write(f"fault {fault.fault.faultcode} {fault.fault.detail.Fault.code}\n")
documents = client.service.GetBill(billNo="UIP-1").billDocument
sys.stdout.write(f"bill {' '.join(base64.b64decode(document.content).hex() for document in documents)}\n")
