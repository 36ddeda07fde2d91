// Direct methods: the unmodified service SDK calls, the unmodified device SDK answers, and what is refused is refused by name.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import deviceSdk from 'azure-iot-device';
import mqttSdk from 'azure-iot-device-mqtt';
import { Hub, folder } from './harness.mjs';
import { serviceClient } from './service-sdk.mjs';

after(() => setTimeout(() => process.exit(), 500).unref());

const { Client, ModuleClient } = deviceSdk;
const { Mqtt } = mqttSdk;

/** onDeviceMethod tells nobody when its subscription is through: calls wait for it. */
const patient = { responseTimeoutInSeconds: 30, connectTimeoutInSeconds: 30 };

async function open(t, hub, connectionString, kind = Client) {
  const client = kind.fromConnectionString(connectionString, Mqtt);
  t.after(() => client.close().catch(() => {}));
  await client.setOptions({ ca: hub.ca });
  await client.open();
  return client;
}

test('a method called by azure-iothub is answered by azure-iot-device, payloads and status whole', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('methods-1');
  const service = serviceClient(t, hub);
  const client = await open(t, hub, device.connectionString);
  client.onDeviceMethod('calibrate', (request, response) => {
    response.send(213, { seen: request.payload, id: request.methodName }, () => {});
  });
  const payload = { text: 'ä "quoted" / ? # +', list: [1, 2.5, null, true], deep: { a: { b: 1 } } };
  const { result } = await service.invokeDeviceMethod('methods-1', { methodName: 'calibrate', payload, ...patient });
  assert.deepEqual(result, { status: 213, payload: { seen: payload, id: 'calibrate' } });

  const many = await Promise.all(Array.from({ length: 50 }, (_, i) =>
    service.invokeDeviceMethod('methods-1', { methodName: 'calibrate', payload: i, ...patient })));
  assert.deepEqual(many.map(({ result: one }) => one.payload.seen), Array.from({ length: 50 }, (_, i) => i));
});

test('a module answers under its own name', async (t) => {
  const hub = await Hub.start(t, folder(t));
  await hub.createDevice('methods-2');
  const made = await hub.rest('PUT', '/devices/methods-2/modules/filter', { deviceId: 'methods-2', moduleId: 'filter' });
  const key = made.body.authentication.symmetricKey.primaryKey;
  const service = serviceClient(t, hub);
  const module = await open(t, hub,
    `HostName=localhost;DeviceId=methods-2;ModuleId=filter;SharedAccessKey=${key};GatewayHostName=localhost:${hub.ready.mqtts}`, ModuleClient);
  module.onMethod('reset', (request, response) => response.send(200, { done: true }, () => {}));
  const { result } = await service.invokeDeviceMethod('methods-2', 'filter', { methodName: 'reset', ...patient });
  assert.deepEqual(result, { status: 200, payload: { done: true } });
});

test('who is unknown, away or silent is told apart; a connect time-out waits for the device', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('methods-3');
  const service = serviceClient(t, hub);
  const call = (id, more = {}) => service.invokeDeviceMethod(id, { methodName: 'calibrate', responseTimeoutInSeconds: 5, ...more });
  const code = (error) => JSON.parse(JSON.parse(error.responseBody).Message).errorCode;

  await assert.rejects(call('nobody'), { name: 'DeviceNotFoundError' });
  await assert.rejects(call('methods-3'), (error) => error.response.statusCode === 404 && code(error) === 404103);

  const waiting = call('methods-3', { responseTimeoutInSeconds: 20, connectTimeoutInSeconds: 20 });
  const client = await open(t, hub, device.connectionString);
  client.onDeviceMethod('calibrate', (request, response) => response.send(200, 'late', () => {}));
  assert.deepEqual((await waiting).result, { status: 200, payload: 'late' });

  client.onDeviceMethod('silent', () => {});
  const raw = await hub.rest('POST', '/twins/methods-3/methods', { methodName: 'silent', responseTimeoutInSeconds: 5 });
  assert.equal(raw.status, 504);
  assert.equal(JSON.parse(raw.body.Message).errorCode, 504101);
  assert.equal((await hub.rest('POST', '/twins/methods-3/methods', { methodName: 'a', responseTimeoutInSeconds: 1 })).status, 400);
});
