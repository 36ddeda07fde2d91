// The unmodified Node device SDK against the hub: telemetry captured, twins read, patched and notified.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import deviceSdk from 'azure-iot-device';
import mqttSdk from 'azure-iot-device-mqtt';
import { Hub, folder, updatesBegun } from './harness.mjs';

// The SDK keeps timers of refused connections alive: once the results are in, the process need not wait for them.
after(() => setTimeout(() => process.exit(), 500).unref());

const { Client, Message } = deviceSdk;
const { Mqtt } = mqttSdk;

async function connect(t, hub, device) {
  const client = Client.fromConnectionString(device.connectionString, Mqtt);
  t.after(() => client.close().catch(() => {}));
  await client.setOptions({ ca: hub.ca });
  await client.open();
  return client;
}

test('telemetry of azure-iot-device is captured once each, with its properties', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('sdk-device');
  const client = await connect(t, hub, device);

  const count = 50;
  for (let i = 0; i < count; ++i) {
    const message = new Message(JSON.stringify({ CycleTime: i, OperationalSetting1: 0.25 * i }));
    message.contentType = 'application/json';
    message.contentEncoding = 'utf-8';
    message.messageId = `m-${i}`;
    message.properties.add('level', 'a&b=c/ü');
    await client.sendEvent(message);
  }

  const records = await hub.captured('devicedata');
  assert.equal(records.length, count);
  const first = records.find((record) => record.SystemProperties.messageId === 'm-7');
  assert.equal(first.SystemProperties.connectionDeviceId, 'sdk-device');
  assert.equal(first.SystemProperties.contentType, 'application/json');
  assert.equal(JSON.parse(first.SystemProperties.connectionAuthMethod).type, 'sas');
  assert.equal(first.Properties.level, 'a&b=c/ü');
  const body = first.Body.bytes ?? first.Body;
  assert.deepEqual(JSON.parse(body.toString()), { CycleTime: 7, OperationalSetting1: 1.75 });
  assert.equal(new Set(records.map((record) => record.SystemProperties.messageId)).size, count);
});

test('twin: desired properties reach the SDK, reported properties reach the service', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('twin-device');
  const client = await connect(t, hub, device);
  const twin = await client.getTwin();
  assert.equal(twin.properties.desired.$version, 1);

  const changed = new Promise((resolve) => twin.on('properties.desired.rate', resolve));
  await updatesBegun(twin);
  const patched = await hub.rest('PATCH', '/twins/twin-device', { properties: { desired: { rate: 5 } } }, { 'If-Match': '"*"' });
  assert.equal(patched.status, 200);
  assert.equal(await changed, 5);

  await new Promise((resolve, reject) => twin.properties.reported.update({ firmware: '1.2' }, (error) => (error ? reject(error) : resolve())));
  const seen = await hub.rest('GET', '/twins/twin-device');
  assert.equal(seen.body.properties.reported.firmware, '1.2');
  assert.equal(seen.body.properties.desired.rate, 5);
});

test('a wrong key is refused', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('refused-device');
  const stranger = { ...device, connectionString: device.connectionString.replace(device.key, Buffer.alloc(32, 7).toString('base64')) };
  await assert.rejects(connect(t, hub, stranger), /not authorized/i);
});
