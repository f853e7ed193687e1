// npm strong-soap; see node_soap.js.
const soap = require('strong-soap').soap;
const [url, name] = process.argv.slice(2);
const credentials = { Authorization: 'Basic ' + Buffer.from('crm:crm-secret').toString('base64') };
soap.createClient(url, {}, (problem, client) => {
  if (problem) throw problem;
  client.addSoapHeader({ idempotencyKey: name }, { nsURI: 'urn:uip:1', name: 'Context' });
  client.SubmitProductOrder({
    externalId: name, relatedParty: { id: 'C1', name: 'Ann Lee', role: 'customer' },
    productOrderItem: [{ id: '1', action: 'add', quantity: 1, productOffering: 'mobile-basic' }],
  }, (refused, made) => {
    if (refused) throw refused;
    console.log('call', made.SubmitProductOrderResult.id, made.SubmitProductOrderResult.state);
    client.GetProductOrder({ id: 'nope' }, (fault) => {
      const said = fault.root.Envelope.Body.Fault;
      const code = said.faultcode || said.Code.Subcode.Value;  // it takes the WSDL's last port: SOAP 1.2
      console.log('fault', code.$value || code, (said.detail || said.Detail).Fault.code);
    }, {}, credentials);
  }, {}, credentials);
});
