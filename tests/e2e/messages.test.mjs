// Messages from services to devices: what the hub has taken reaches the unmodified device SDK over MQTT and over HTTPS, also
// when the hub was killed in between.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import deviceSdk from 'azure-iot-device';
import httpSdk from 'azure-iot-device-http';
import mqttSdk from 'azure-iot-device-mqtt';
import { Hub, folder } from './harness.mjs';
import { agentOf } from './service-sdk.mjs';

after(() => setTimeout(() => process.exit(), 500).unref());

const { Client } = deviceSdk;
const { Mqtt } = mqttSdk;
const { Http } = httpSdk;

async function send(hub, id, body, headers = {}) {
  const sent = await hub.rest('POST', `/devices/${id}/messages/devicebound`, body, headers);
  assert.equal(sent.status, 200, JSON.stringify(sent.body));
  return sent.body;
}

/** Waits for feedback and completes it: what it says, by message id. */
async function feedback(hub, count) {
  const said = {};
  while (Object.keys(said).length < count) {
    const batch = await hub.rest('GET', '/messages/serviceBound/feedback');
    if (batch.status === 204) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      continue;
    }
    for (const record of batch.body) said[record.originalMessageId] = record.statusCode;
    const done = await hub.rest('DELETE', `/messages/serviceBound/feedback/${batch.headers.etag.slice(1, -1)}`);
    assert.equal(done.status, 204);
  }
  return said;
}

test('messages wait through a kill of the hub and reach azure-iot-device over MQTT, in order, each once', async (t) => {
  const dir = folder(t);
  let hub = await Hub.start(t, dir);
  const ports = hub.ready;
  const device = await hub.createDevice('c2d-1');
  const count = 20;
  for (let i = 0; i < count; ++i)
    await send(hub, 'c2d-1', `body ${i}`, { 'iothub-messageid': `m${i}`, 'iothub-ack': 'full', 'iothub-app-level': 'a=b&c' });
  await hub.service.kill('SIGKILL');
  hub = await Hub.start(t, dir, ports);
  assert.equal((await hub.rest('GET', '/devices/c2d-1')).body.cloudToDeviceMessageCount, count);

  const client = Client.fromConnectionString(device.connectionString, Mqtt);
  t.after(() => client.close().catch(() => {}));
  await client.setOptions({ ca: hub.ca });
  await client.open();
  const received = [];
  const all = new Promise((resolve) => {
    client.on('message', (message) => {
      received.push(message);
      client.complete(message, () => {});
      if (received.length === count) resolve();
    });
  });
  await all;
  assert.deepEqual(received.map((message) => message.getData().toString()), Array.from({ length: count }, (_, i) => `body ${i}`));
  assert.equal(received[3].messageId, 'm3');
  assert.equal(received[3].to, '/devices/c2d-1/messages/devicebound');
  assert.equal(received[3].properties.getValue('level'), 'a=b&c');
  assert.deepEqual(await feedback(hub, count), Object.fromEntries(Array.from({ length: count }, (_, i) => [`m${i}`, 'Success'])));
  assert.equal((await hub.rest('GET', '/devices/c2d-1')).body.cloudToDeviceMessageCount, 0);
});

test('over HTTPS azure-iot-device completes, abandons and rejects', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('c2d-2');
  const client = Client.fromConnectionString(`HostName=localhost;DeviceId=c2d-2;SharedAccessKey=${device.key}`, Http);
  t.after(() => client.close().catch(() => {}));
  const agent = agentOf(hub);
  t.after(() => agent.destroy());
  client.setOptions({ http: { agent, receivePolicy: { interval: 1, drain: true } } }, () => {});
  await client.open();

  await send(hub, 'c2d-2', 'one', { 'iothub-messageid': 'one', 'iothub-ack': 'full', 'iothub-app-level': 'high' });
  const seen = [];
  const settle = (verb, message) => new Promise((resolve, reject) => client[verb](message, (error) => (error ? reject(error) : resolve())));
  client.on('message', (message) => seen.push(message));
  const next = async () => {
    while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    return seen.shift();
  };
  const first = await next();
  assert.equal(first.data.toString(), 'one');
  assert.equal(first.messageId, 'one');
  assert.equal(first.properties.getValue('iothub-app-level'), 'high');
  await settle('abandon', first);
  await settle('complete', await next());
  await send(hub, 'c2d-2', 'two', { 'iothub-messageid': 'two', 'iothub-ack': 'negative' });
  const second = await next();
  await settle('reject', second);
  await assert.rejects(settle('complete', second), 'its lock is gone');
  assert.deepEqual(await feedback(hub, 2), { one: 'Success', two: 'Rejected' });
});

test('a device that does not listen keeps its messages; a purge takes them away', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('c2d-3');
  const client = Client.fromConnectionString(device.connectionString, Mqtt);
  t.after(() => client.close().catch(() => {}));
  await client.setOptions({ ca: hub.ca });
  await client.open();
  await send(hub, 'c2d-3', 'one');
  assert.equal((await hub.rest('GET', '/devices/c2d-3')).body.cloudToDeviceMessageCount, 1);
  const listening = once(client, 'message');
  assert.equal((await listening)[0].getData().toString(), 'one');
  await client.close();
  await send(hub, 'c2d-3', 'two');
  const purged = await hub.rest('DELETE', '/devices/c2d-3/commands?api-version=2021-04-12');
  assert.equal(purged.status, 200);
  assert.equal(purged.body.deviceId, 'c2d-3');
  assert.ok(purged.body.totalMessagesPurged >= 1);
});
