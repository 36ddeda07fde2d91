// The hub as a broker for clients we did not write: MQTT.js in both versions over TLS and WebSocket, mosquitto's clients, and
// the Azure SDK's MQTT over WebSocket. What is published is captured too.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import https from 'node:https';
import { writeFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import tls from 'node:tls';
import { after, test } from 'node:test';
import deviceSdk from 'azure-iot-device';
import mqttSdk from 'azure-iot-device-mqtt';
import mqtt from 'mqtt';
import { Hub, folder, run } from './harness.mjs';

after(() => setTimeout(() => process.exit(), 500).unref());

const open = { mqtt: 0 };
const flags = ['--open-namespace', '--allow-anonymous'];

/** A connected MQTT.js client; `on('message')` is collected from the start in `.seen`, so that nothing is missed. */
async function connect(t, url, hub, options = {}) {
  const client = mqtt.connect(url, { ca: hub.ca, reconnectPeriod: 0, connectTimeout: 20_000, protocolVersion: 5, ...options });
  t.after(() => client.endAsync(true).catch(() => {}));
  client.seen = [];
  client.on('message', (topic, payload, packet) => {
    client.seen.push({ topic, payload: payload.toString(), packet });
    client.emit('seen');
  });
  await new Promise((resolve, reject) => { client.once('connect', resolve); client.once('error', reject); });
  return client;
}
async function seen(client, count) {
  while (client.seen.length < count) await once(client, 'seen');
  return client.seen;
}
const tlsUrl = (hub) => `mqtts://localhost:${hub.ready.mqtts}`;
const wsUrl = (hub, at = '/$iothub/websocket') => `wss://localhost:${hub.ready.https}${at}`;

test('both versions speak to each other over TLS, WebSocket and plain MQTT, in every QoS, and are captured', async (t) => {
  const hub = await Hub.start(t, folder(t), open, flags);
  const clients = [
    await connect(t, tlsUrl(hub), hub, { clientId: 'tls-4', protocolVersion: 4 }),
    await connect(t, wsUrl(hub), hub, { clientId: 'ws-5' }),
    await connect(t, wsUrl(hub, '/mqtt'), hub, { clientId: 'ws-4', protocolVersion: 4 }),
    await connect(t, `mqtt://127.0.0.1:${hub.ready.mqtt}`, hub, { clientId: 'plain-5' }),
  ];
  for (const client of clients) {
    const granted = await client.subscribeAsync('plant/#', { qos: 2 });
    assert.equal(granted[0].qos, 2);
  }
  let sent = 0;
  for (const client of clients)
    for (const qos of [0, 1, 2]) await client.publishAsync(`plant/${client.options.clientId}`, `{"OperationalSetting1":${++sent}}`, { qos });
  for (const client of clients) {
    const messages = await seen(client, sent);
    for (const from of clients) {
      const own = messages.filter((m) => m.topic === `plant/${from.options.clientId}`);
      assert.deepEqual(own.map((m) => m.packet.qos), [0, 1, 2]);
    }
  }
  await hub.rest('PUT', '/routes', { routes: [{ name: 'plant', source: 'DeviceMessages', condition: "$mqttTopic = 'plant/ws-5'", endpoint: { type: 'storage', container: 'plant' } }] });
  await clients[1].publishAsync('plant/ws-5', 'routed', { qos: 1, properties: { userProperties: { line: 'a' }, contentType: 'text/plain' } });
  await clients[1].publishAsync('plant/other', 'not routed', { qos: 1 });
  const records = await hub.captured('plant');
  assert.deepEqual(records.map((r) => (r.Body.bytes ?? r.Body).toString()), ['routed']);
  assert.equal(records[0].SystemProperties.mqttTopic, 'plant/ws-5');
  assert.equal(records[0].SystemProperties.mqttClientId, 'ws-5');
  assert.equal(records[0].SystemProperties.contentType, 'text/plain');
  assert.equal(records[0].Properties.line, 'a');
});

test('a large message and many small ones pass a WebSocket unharmed', async (t) => {
  const hub = await Hub.start(t, folder(t), {}, flags);
  const one = await connect(t, wsUrl(hub), hub);
  await one.subscribeAsync('t', { qos: 1 });
  const large = 'x'.repeat(200_000);
  await one.publishAsync('t', large, { qos: 1 });
  await Promise.all(Array.from({ length: 500 }, (_, i) => one.publishAsync('t', String(i), { qos: 1 })));
  const messages = await seen(one, 501);
  assert.equal(messages[0].payload, large);
  assert.deepEqual(messages.slice(1).map((m) => Number(m.payload)), Array.from({ length: 500 }, (_, i) => i));
});

test('MQTT.js sees what MQTT 5 promises: terms, reasons, request and response, aliases, shared subscriptions', async (t) => {
  const hub = await Hub.start(t, folder(t), {}, flags);
  const server = await connect(t, tlsUrl(hub), hub, { clientId: 'server', properties: { topicAliasMaximum: 10, sessionExpiryInterval: 60 } });
  const client = await connect(t, wsUrl(hub), hub, { clientId: '' });
  await server.subscribeAsync('requests/long/topic', { qos: 1, properties: { subscriptionIdentifier: 7 } });
  await client.subscribeAsync('answers/1', { qos: 1 });
  for (const word of ['one', 'two'])
    await client.publishAsync('requests/long/topic', word, { qos: 1, properties: { responseTopic: 'answers/1', correlationData: Buffer.from(word), messageExpiryInterval: 60 } });
  const asked = await seen(server, 2);
  assert.equal(asked[1].packet.properties.subscriptionIdentifier, 7);
  assert.equal(asked[1].packet.properties.topicAlias, 1);
  assert.ok(asked[1].packet.properties.messageExpiryInterval <= 60);
  for (const { packet } of asked) await server.publishAsync(packet.properties.responseTopic, 'answer', { properties: { correlationData: packet.properties.correlationData } });
  const answers = await seen(client, 2);
  assert.deepEqual(answers.map((a) => a.packet.properties.correlationData.toString()), ['one', 'two']);

  const refused = await client.subscribeAsync('$iothub/twin/res/#').catch((error) => error);
  assert.match(String(refused.message ?? JSON.stringify(refused)), /135|[Nn]ot authorized|Unspecified/);
  const denied = await client.publishAsync('devices/x/messages/events/', 'x', { qos: 1 }).catch((error) => error);
  assert.equal(denied.code, 135);

  const workers = [await connect(t, tlsUrl(hub), hub), await connect(t, tlsUrl(hub), hub)];
  for (const worker of workers) await worker.subscribeAsync('$share/g/jobs', { qos: 1 });
  for (let i = 0; i < 10; ++i) await client.publishAsync('jobs', String(i), { qos: 1 });
  await Promise.all(workers.map((worker) => seen(worker, 5)));
  assert.deepEqual(workers.flatMap((w) => w.seen.map((m) => m.payload)).sort(), Array.from({ length: 10 }, (_, i) => String(i)));
});

test('retained messages, wills and messages for who is away', async (t) => {
  const hub = await Hub.start(t, folder(t), {}, flags);
  const sender = await connect(t, tlsUrl(hub), hub, { clientId: 'sender' });
  await sender.publishAsync('state/1', 'on', { retain: true, qos: 1 });
  const board = await connect(t, wsUrl(hub), hub, { clientId: 'board', clean: false, properties: { sessionExpiryInterval: 600 } });
  await board.subscribeAsync(['state/#', 'gone/#'], { qos: 1 });
  const first = await seen(board, 1);
  assert.equal(first[0].packet.retain, true);
  const fails = await connect(t, wsUrl(hub), hub, { will: { topic: 'gone/1', payload: 'bye', qos: 1 } });
  fails.stream.destroy();
  await seen(board, 2);
  assert.equal(board.seen[1].payload, 'bye');
  await board.endAsync();
  for (const word of ['a', 'b']) await sender.publishAsync('state/2', word, { qos: 1 });
  const again = await connect(t, tlsUrl(hub), hub, { clientId: 'board', clean: false, properties: { sessionExpiryInterval: 600 } });
  const missed = await seen(again, 2);
  assert.deepEqual(missed.map((m) => m.payload), ['a', 'b']);
});

test('credentials and rules: keys, tokens and policies come in, what no rule allows stays out', async (t) => {
  const dir = folder(t);
  mkdirSync(path.join(dir, 'hub'));
  writeFileSync(path.join(dir, 'hub/namespace.json'), JSON.stringify({ rules: [
    { who: 'device:*', publish: ['plant/%n/#'], subscribe: ['plant/%n/#'] }, { who: 'policy:service', subscribe: ['#'] }] }));
  const hub = await Hub.start(t, path.join(dir, 'hub'), {}, ['--open-namespace']);
  const device = await hub.createDevice('pump-1');
  await assert.rejects(connect(t, tlsUrl(hub), hub), /[Nn]ot authorized/);
  await assert.rejects(connect(t, tlsUrl(hub), hub, { username: 'pump-1', password: 'guess' }), /[Nn]ot authorized/);
  const byKey = await connect(t, tlsUrl(hub), hub, { clientId: 'any', username: 'pump-1', password: device.key });
  const byToken = await connect(t, wsUrl(hub), hub, { clientId: 'other', username: 'pump-1', password: device.password, protocolVersion: 4 });
  await byToken.subscribeAsync('plant/pump-1/#', { qos: 1 });
  await byKey.publishAsync('plant/pump-1/speed', '7', { qos: 1 });
  await seen(byToken, 1);
  const denied = await byKey.publishAsync('plant/pump-2/speed', '7', { qos: 1 }).catch((error) => error);
  assert.equal(denied.code, 135);
  await assert.rejects(byKey.subscribeAsync('#'));
  // An IoT Hub client of the same device has its own session, and its own topics.
  const sdkLike = await connect(t, tlsUrl(hub), hub, { clientId: 'pump-1', username: device.userName, password: device.password, protocolVersion: 4 });
  await sdkLike.publishAsync('devices/pump-1/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8', '{"OperationalSetting1":1}', { qos: 1 });
  await sdkLike.publishAsync('plant/pump-1/from-the-hub-side', '8', { qos: 1 });
  assert.equal((await seen(byToken, 2))[1].payload, '8');
  assert.equal((await hub.captured('devicedata')).length, 1);
});

test('without the flag the hub is no broker', async (t) => {
  const hub = await Hub.start(t, folder(t));
  await assert.rejects(connect(t, tlsUrl(hub), hub, { protocolVersion: 4 }), /Bad username|[Nn]ot authorized/);
  const bad = await run('nacelle', ['hub', '--data', folder(t), '--allow-anonymous']);
  assert.equal(bad.code, 2);
});

test('mosquitto_pub and mosquitto_sub in both versions', async (t) => {
  const hub = await Hub.start(t, folder(t), {}, flags);
  const common = ['-h', 'localhost', '-p', String(hub.ready.mqtts), '--cafile', hub.ready.ca];
  for (const [publisher, subscriber] of [['311', '5'], ['5', '311']]) {
    const topic = `m/${publisher}`;
    const kept = await run('/usr/bin/mosquitto_pub', [...common, '-V', publisher, '-q', '2', '-r', '-t', topic, '-m', 'kept']);
    assert.equal(kept.code, 0, kept.stderr);
    const extra = subscriber === '5' ? ['-D', 'subscribe', 'user-property', 'k', 'v'] : [];
    const sub = spawn('/usr/bin/mosquitto_sub', [...common, '-V', subscriber, '-q', '2', '-t', topic, '-C', '2', '-F', '%r %q %p', ...extra]);
    t.after(() => sub.kill());
    const lines = createInterface({ input: sub.stdout })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, '1 2 kept');
    const live = await run('/usr/bin/mosquitto_pub', [...common, '-V', publisher, '-q', '1', '-t', topic, '-m', 'live']);
    assert.equal(live.code, 0, live.stderr);
    assert.equal((await lines.next()).value, '0 1 live');
  }
});

test('azure-iot-device-mqtt over WebSocket: telemetry and twin', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('ws-device');
  const connection = device.connectionString.replace(/;GatewayHostName=.*/, '');
  const client = deviceSdk.Client.fromConnectionString(connection, mqttSdk.MqttWs);
  t.after(() => client.close().catch(() => {}));
  // The SDK knows port 443 only: its documented agent option leads to ours.
  const agent = new https.Agent();
  agent.createConnection = (options) => tls.connect({ host: 'localhost', servername: 'localhost', port: hub.ready.https, ca: hub.ca, ALPNProtocols: options.ALPNProtocols });
  await client.setOptions({ ca: hub.ca, mqtt: { webSocketAgent: agent } });
  await client.open();
  for (let i = 0; i < 10; ++i) await client.sendEvent(new deviceSdk.Message(`{"OperationalSetting1":${i}}`));
  const twin = await client.getTwin();
  await new Promise((resolve, reject) => twin.properties.reported.update({ over: 'websocket' }, (error) => (error ? reject(error) : resolve())));
  const read = await hub.rest('GET', '/twins/ws-device');
  assert.equal(read.body.properties.reported.over, 'websocket');
  const all = await hub.rest('GET', '/statistics/messages');
  assert.equal(all.body.acked, 10);
});
