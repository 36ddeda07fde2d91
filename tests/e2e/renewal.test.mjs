// The SDK renews its token while it is connected (after 45 minutes; here after 2 seconds): it reconnects with the new one, and what it
// subscribed to goes on: twin changes, methods, messages to the device. A token that is not renewed ends the connection.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import deviceSdk from 'azure-iot-device';
import mqttSdk from 'azure-iot-device-mqtt';
import mqtt from 'mqtt';
import { Hub, folder, sas } from './harness.mjs';

after(() => setTimeout(() => process.exit(), 500).unref());

const { Client, SharedAccessKeyAuthenticationProvider } = deviceSdk;
const { Mqtt } = mqttSdk;
const api = 'api-version=2021-04-12';

test('after renewals of its token the SDK is still told of twin changes, methods and messages', { timeout: 90_000 }, async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('renewing');
  const provider = SharedAccessKeyAuthenticationProvider.fromConnectionString(device.connectionString, 22, 20);
  const client = Client.fromAuthenticationProvider(provider, Mqtt);
  t.after(() => client.close().catch(() => {}));
  await client.setOptions({ ca: hub.ca });
  await client.open();
  const twin = await client.getTwin();
  const wanted = [], messages = [];
  let heard = () => {};
  twin.on('properties.desired', (patch) => { if (patch.step !== undefined) wanted.push(patch.step); heard(); });
  client.onDeviceMethod('step', (request, response) => response.send(200, request.payload, () => {}));
  client.on('message', (message) => { messages.push(message.getData().toString()); client.complete(message, () => heard()); });


  for (let step = 1; step <= 3; ++step) {
    await once(provider, 'newTokenAvailable');
    // A call that meets the old connection's last moment may go down with it (504101): methods are QoS 0, the caller tries again.
    let called;
    for (let attempt = 1; attempt <= 5; ++attempt) {
      called = await hub.rest('POST', `/twins/renewing/methods?${api}`, { methodName: 'step', payload: step, connectTimeoutInSeconds: 5, responseTimeoutInSeconds: 5 });
      if (!JSON.stringify(called.body).includes('504101')) break;
    }
    assert.deepEqual(called.body, { status: 200, payload: step });
    assert.equal((await hub.rest('PATCH', `/twins/renewing?${api}`, { properties: { desired: { step } } })).status, 200);
    assert.equal((await hub.rest('POST', `/devices/renewing/messages/devicebound?${api}`, `message ${step}`)).status, 200);
    while (!wanted.includes(step) || !messages.includes(`message ${step}`)) await new Promise((resolve) => { heard = resolve; });
    await client.sendEvent(new deviceSdk.Message(`event ${step}`));
  }
  assert.deepEqual(messages, ['message 1', 'message 2', 'message 3']);
});

test('a token that ends, ends its connection', { timeout: 60_000 }, async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('ending');
  // Clocks of devices may be five minutes behind or ahead: that much longer a token is taken, and its connection left open.
  const skew = 300, soon = Math.floor(Date.now() / 1000) + 4;
  const client = mqtt.connect(`mqtts://localhost:${hub.ready.mqtts}`, {
    ca: hub.ca, clientId: device.id, username: device.userName, protocolVersion: 4, reconnectPeriod: 0,
    password: sas('localhost%2Fdevices%2Fending', device.key, undefined, soon - skew),
  });
  t.after(() => client.end(true));
  client.on('error', () => {});
  await once(client, 'connect');
  await once(client, 'close');
  assert.ok(Date.now() / 1000 >= soon - 1, 'it was closed while the token was good');
  const { body } = await hub.rest('GET', `/devices/ending?${api}`);
  assert.equal(body.connectionState, 'Disconnected');
});
