// mosquitto_pub with a SAS token as password: telemetry is captured; a wrong topic or token is not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Hub, folder, run, sas } from './harness.mjs';

const publish = (hub, device, topic, text, password = device.password) =>
  run('/usr/bin/mosquitto_pub', ['-h', 'localhost', '-p', String(hub.ready.mqtts), '--cafile', hub.ready.ca, '-i', device.id, '-u', device.userName,
    '-P', password, '-V', 'mqttv311', '-q', '1', '-t', topic, '-m', text]);

test('mosquitto_pub with a SAS password sends telemetry that is captured', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('pump-1');
  const topic = 'devices/pump-1/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8&line=a';
  const sent = await publish(hub, device, topic, '{"OperationalSetting1":0.5,"CycleTime":1}');
  assert.equal(sent.code, 0, sent.stderr);
  const records = await hub.captured('devicedata');
  assert.equal(records.length, 1);
  assert.equal(records[0].Properties.line, 'a');
});

test('another device\'s topic, an expired token and an unknown device are refused', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('pump-1');
  await hub.createDevice('pump-2');
  const own = 'devices/pump-1/messages/events/';
  const expired = sas('localhost%2Fdevices%2Fpump-1', device.key, undefined, 1_600_000_000);
  assert.notEqual((await publish(hub, device, own, '{}', expired)).code, 0);
  assert.notEqual((await publish(hub, { ...device, id: 'nobody', userName: 'localhost/nobody/?api-version=2021-04-12' }, own, '{}')).code, 0);
  await publish(hub, device, 'devices/pump-2/messages/events/', '{"OperationalSetting1":1}');
  const statistics = await hub.rest('GET', '/statistics/messages');
  assert.equal(statistics.body.acked, 0);
});
