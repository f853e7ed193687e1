// npm soap. Arguments: the WSDL's URL, a name for the order. Prints what tests/adapters/soap/test_toolkits.py expects.
const soap = require('soap');
(async () => {
  const [url, name] = process.argv.slice(2);
  const client = await soap.createClientAsync(url);
  client.setSecurity(new soap.BasicAuthSecurity('crm', 'crm-secret'));
  client.addSoapHeader({ 'u:Context': { 'u:idempotencyKey': name } }, '', 'u', 'urn:uip:1');
  const [made] = await client.SubmitProductOrderAsync({
    externalId: name, relatedParty: { id: 'C1', name: 'Ann Lee', role: 'customer' },
    productOrderItem: [{ id: '1', action: 'add', quantity: 1, productOffering: 'mobile-basic' }],
  });
  console.log('call', made.SubmitProductOrderResult.id, made.SubmitProductOrderResult.state);
  try {
    await client.GetProductOrderAsync({ id: 'nope' });
  } catch (error) {
    const fault = error.root.Envelope.Body.Fault;
    console.log('fault', fault.faultcode, fault.detail.Fault.code);
  }
})();
