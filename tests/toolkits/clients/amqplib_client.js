// npm amqplib. Arguments: the broker's URL, the exchange of requests, a name for the order. Prints what
// tests/adapters/amqp/test_toolkits.py expects.
const amqp = require('amqplib');
(async () => {
  const [url, exchange, name] = process.argv.slice(2);
  const connection = await amqp.connect(url);
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const waiting = new Map();
  await channel.consume(queue, (message) => {
    waiting.get(message.properties.correlationId)(message);
    channel.ack(message);
  });
  const ask = async (request, body, id) => {
    const answer = new Promise((resolve) => waiting.set(id, resolve));
    channel.publish(exchange, request, Buffer.from(JSON.stringify(body)), {
      type: request, messageId: id, correlationId: id, replyTo: queue, persistent: true, mandatory: true,
      contentType: 'application/json',
    });
    await channel.waitForConfirms();
    const message = await answer;
    return [message.properties.type, JSON.parse(message.content)];
  };
  const order = {
    externalId: name, relatedParty: { id: 'C1', name: 'Ann Lee', role: 'customer' },
    productOrderItem: [{ id: '1', action: 'add', quantity: 1, productOffering: 'mobile-basic' }],
  };
  const [kind, made] = await ask('SubmitProductOrder', order, name);
  console.log('call', kind, made.id, made.state);
  const [type, fault] = await ask('SubmitProductOrder', { externalId: 1 }, `${name}-wrong`);
  console.log('fault', type, fault.code);
  await connection.close();
})();
