// Devices and modules over AMQP: the unmodified azure-iot-device with azure-iot-device-amqp (Amqp and AmqpWs) against the hub's own ports.

import assert from 'node:assert/strict';
import { on, once } from 'node:events';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import common from 'azure-iot-common';
import deviceSdk from 'azure-iot-device';
import amqpSdk from 'azure-iot-device-amqp';
import mqttSdk from 'azure-iot-device-mqtt';
import { Hub, eventually, folder, leadTo, updatesBegun } from './harness.mjs';

after(() => setTimeout(() => process.exit(), 500).unref());

const { NoRetry } = common;
const { Client, Message, ModuleClient } = deviceSdk;

let hub;
leadTo(() => hub);

async function start(t, flags = []) {
  hub = await Hub.start(t, folder(t), {}, flags);
}

/** By its own port where that can be said. */
function gateway(transport) {
  if (transport === amqpSdk.AmqpWs) return '';
  return `;GatewayHostName=localhost:${transport === amqpSdk.Amqp ? hub.ready.amqps : hub.ready.mqtts}`;
}

/** An opened client of a device that is made if it is not there. */
async function open(t, made, transport = amqpSdk.Amqp) {
  const client = Client.fromConnectionString(`HostName=localhost;DeviceId=${made.id};SharedAccessKey=${made.key}${gateway(transport)}`, transport);
  t.after(() => client.close().catch(() => {}));
  client.on('error', () => {});
  if (transport === mqttSdk.Mqtt) await client.setOptions({ ca: hub.ca });
  await client.open();
  return client;
}

async function openModule(t, device, id) {
  const made = await hub.rest('PUT', `/devices/${device.id}/modules/${id}`, { deviceId: device.id, moduleId: id });
  assert.equal(made.status, 200);
  const key = made.body.authentication.symmetricKey.primaryKey;
  const client = ModuleClient.fromConnectionString(`HostName=localhost;DeviceId=${device.id};ModuleId=${id};SharedAccessKey=${key}${gateway(amqpSdk.Amqp)}`, amqpSdk.Amqp);
  t.after(() => client.close().catch(() => {}));
  await client.open();
  return client;
}

/** What the hub captures as it comes out of the box. */
function reading(i) {
  const message = new Message(JSON.stringify({ CycleTime: i, OperationalSetting1: 0.25 }));
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  return message;
}
const cycleOf = (record) => JSON.parse((record.Body.bytes ?? record.Body).toString()).CycleTime;

const connectionState = async (id) => (await hub.rest('GET', `/devices/${id}`)).body.connectionState;
const update = (twin, patch) => promisify(twin.properties.reported.update.bind(twin.properties.reported))(patch);

/** A message of a service to a device, by REST: the service's AMQP has tests of its own. */
async function sendTo(id, body, headers = {}) {
  const sent = await hub.rest('POST', `/devices/${id}/messages/devicebound`, body, headers);
  assert.equal(sent.status, 200, JSON.stringify(sent.body));
  return sent.body.messageId;
}

for (const [name, transport] of [['Amqp', amqpSdk.Amqp], ['AmqpWs', amqpSdk.AmqpWs]]) {
  test(`${name}: telemetry is captured once each, with its properties`, async (t) => {
    await start(t);
    const client = await open(t, await hub.createDevice('dev:1'), transport);
    const count = 20;
    const sends = [];
    for (let i = 0; i < count; ++i) {
      const message = reading(i);
      message.messageId = `m-${i}`;
      message.correlationId = '01234567-89ab-4def-8123-456789abcdef';
      message.properties.add('level', 'a&b=c/ü');
      sends.push(client.sendEvent(message));
    }
    await Promise.all(sends);
    const records = await hub.captured('devicedata');
    assert.equal(records.length, count);
    assert.deepEqual(records.map(cycleOf), [...Array(count).keys()]);
    const { SystemProperties: system, Properties: properties } = records[7];
    assert.equal(system.messageId, 'm-7');
    assert.equal(system.correlationId, '01234567-89ab-4def-8123-456789abcdef');
    assert.equal(system.connectionDeviceId, 'dev:1');
    assert.equal(system.contentType, 'application/json');
    assert.deepEqual(JSON.parse(system.connectionAuthMethod), { scope: 'device', type: 'sas', issuer: 'iothub', acceptingIpFilterRule: null });
    assert.ok(system.connectionDeviceGenerationId && system.enqueuedTime);
    assert.equal(properties.level, 'a&b=c/ü');
  });

  test(`${name}: messages to a device are completed, rejected and abandoned`, async (t) => {
    await start(t);
    const made = await hub.createDevice('dev-1');
    await sendTo('dev-1', 'waits', { 'iothub-ack': 'full', 'iothub-messageid': 'm-1', 'iothub-app-level': 'high' });
    const client = await open(t, made, transport);
    const messages = on(client, 'message');  // a listener that stays: with the last one the SDK detaches
    const next = async () => (await messages.next()).value[0];
    const first = await next();
    assert.equal(first.data.toString(), 'waits');
    assert.equal(first.messageId, 'm-1');
    assert.equal(first.properties.propertyList.find((one) => one.key === 'level').value, 'high');
    await client.abandon(first);
    const again = await next();
    assert.equal(again.messageId, 'm-1');
    await client.complete(again);

    await sendTo('dev-1', 'comes', { 'iothub-ack': 'full', 'iothub-messageid': 'm-2' });
    const second = await next();
    assert.equal(second.data.toString(), 'comes');
    await client.reject(second);

    const records = [];
    await eventually(async () => {
      const batch = await hub.rest('GET', '/messages/serviceBound/feedback');
      if (batch.status !== 200) return false;
      records.push(...batch.body);
      return records.length === 2;
    });
    assert.deepEqual(records.map((one) => [one.originalMessageId, one.statusCode]), [['m-1', 'Success'], ['m-2', 'Rejected']]);
    assert.equal((await hub.rest('GET', '/devices/dev-1')).body.cloudToDeviceMessageCount, 0);
  });

  test(`${name}: twin both ways`, async (t) => {
    await start(t);
    const client = await open(t, await hub.createDevice('dev-1'), transport);
    const twin = await client.getTwin();
    assert.equal(twin.properties.desired.$version, 1);
    const changed = new Promise((resolve) => twin.on('properties.desired.rate', resolve));
    await updatesBegun(twin);
    const patched = await hub.rest('PATCH', '/twins/dev-1', { properties: { desired: { rate: 5 } } }, { 'If-Match': '"*"' });
    assert.equal(patched.status, 200);
    assert.equal(await changed, 5);
    await update(twin, { firmware: '1.2' });
    assert.equal((await hub.rest('GET', '/twins/dev-1')).body.properties.reported.firmware, '1.2');
    await assert.rejects(update(twin, { 'a.b': 1 }), (error) => error.amqpError?.name === 'FormatError');
  });

  test(`${name}: direct methods`, async (t) => {
    await start(t);
    const client = await open(t, await hub.createDevice('dev-1'), transport);
    client.onDeviceMethod('turn', (request, response) => response.send(201, { by: request.payload.by }, () => {}));
    const call = { methodName: 'turn', payload: { by: 7 }, responseTimeoutInSeconds: 30, connectTimeoutInSeconds: 30 };
    const answered = await hub.rest('POST', '/twins/dev-1/methods', call);
    assert.equal(answered.status, 200, JSON.stringify(answered.body));
    assert.deepEqual(answered.body, { status: 201, payload: { by: 7 } });
  });
}

test('a module: outputs, twin and methods of its own', async (t) => {
  await start(t);
  const device = await hub.createDevice('dev-1');
  const client = await openModule(t, device, 'filter');
  await client.sendOutputEvent('alerts', reading(1));
  const [record] = await hub.captured('devicedata');
  assert.equal(record.SystemProperties.connectionModuleId, 'filter');
  assert.equal(JSON.parse(record.SystemProperties.connectionAuthMethod).scope, 'module');
  assert.equal(record.SystemProperties.outputName, 'alerts');
  const twin = await client.getTwin();
  await update(twin, { ready: true });
  assert.equal((await hub.rest('GET', '/twins/dev-1/modules/filter')).body.properties.reported.ready, true);
  client.onMethod('ping', (request, response) => response.send(200, 'pong', () => {}));
  const call = { methodName: 'ping', payload: null, responseTimeoutInSeconds: 30, connectTimeoutInSeconds: 30 };
  assert.deepEqual((await hub.rest('POST', '/twins/dev-1/modules/filter/methods', call)).body, { status: 200, payload: 'pong' });
});

test('a device is there while it has links, over one protocol at a time', async (t) => {
  await start(t);
  const made = await hub.createDevice('dev-1');
  assert.equal(await connectionState('dev-1'), 'Disconnected');
  const first = await open(t, made);
  await first.sendEvent(reading(0));
  assert.equal(await connectionState('dev-1'), 'Connected');

  const overMqtt = await open(t, made, mqttSdk.Mqtt);
  await overMqtt.sendEvent(reading(0));
  assert.equal(await connectionState('dev-1'), 'Connected');

  const gone = once(overMqtt, 'disconnect');
  overMqtt.setRetryPolicy(new NoRetry());
  const second = await open(t, made);
  await second.sendEvent(reading(0));
  await gone;
  assert.equal(await connectionState('dev-1'), 'Connected');
  await first.close();
  await second.close();
  await eventually(async () => (await connectionState('dev-1')) === 'Disconnected');
});

test('wrong keys are refused, and what is disabled or deleted is ended', async (t) => {
  await start(t);
  const made = await hub.createDevice('dev-1');
  const stranger = { ...made, key: Buffer.alloc(32, 7).toString('base64') };
  await assert.rejects(open(t, stranger), (error) => error.name === 'UnauthorizedError');

  const client = await open(t, made);
  client.setRetryPolicy(new NoRetry());
  await client.sendEvent(reading(0));
  assert.equal((await hub.rest('PUT', '/devices/dev-1', { ...made.document, status: 'disabled' }, { 'If-Match': '*' })).status, 200);
  await eventually(async () => (await connectionState('dev-1')) === 'Disconnected');
  await assert.rejects(client.sendEvent(reading(0)), (error) => error.name === 'UnauthorizedError');
});

test('what was accepted is there after a kill', async (t) => {
  const dir = folder(t);
  hub = await Hub.start(t, dir);
  const client = await open(t, await hub.createDevice('dev-1'));
  client.setRetryPolicy(new NoRetry());
  const accepted = new Set();
  const sends = [];
  for (let i = 0; i < 200; ++i)
    sends.push(client.sendEvent(reading(i)).then(() => { if (accepted.add(i).size === 50) hub.service.kill('SIGKILL'); }, () => {}));
  await Promise.race([Promise.all(sends), hub.service.ended]);
  await hub.service.ended;
  const ports = hub.ready;
  const before = [...accepted];
  assert.ok(before.length >= 50);
  hub = await Hub.start(t, dir, ports);
  const there = new Set((await hub.captured('devicedata')).map(cycleOf));
  assert.deepEqual(before.filter((i) => !there.has(i)), []);
});
