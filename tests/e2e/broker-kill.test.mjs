// kill -9 of the hub as a broker, with MQTT.js and mosquitto's clients: what was acknowledged is retained, waits for who is away,
// and a QoS 2 message is stored once.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import mqtt from 'mqtt';
import { Hub, folder, random, run } from './harness.mjs';

after(() => setTimeout(() => process.exit(), 500).unref());

const rounds = Number(process.env.KILL_ROUNDS ?? 6);
const seed = Number(process.env.SEED ?? 20260301);
const flags = ['--open-namespace', '--allow-anonymous'];
const start = (t, dir, ports = { mqtt: 0 }) => Hub.start(t, dir, ports, flags);

async function connect(t, hub, id, options = {}) {
  const client = mqtt.connect(`mqtt://127.0.0.1:${hub.ready.mqtt}`, {
    clientId: id, reconnectPeriod: 0, connectTimeout: 20_000, protocolVersion: 5, clean: false,
    properties: { sessionExpiryInterval: 0xffffffff }, ...options });
  t.after(() => client.end(true));
  client.on('error', () => {});
  client.seen = [];
  client.on('message', (topic, payload, packet) => { client.seen.push({ topic, payload: payload.toString(), packet }); client.emit('seen'); });
  await once(client, 'connect');
  return client;
}
const seen = async (client, count) => { while (client.seen.length < count) await once(client, 'seen'); return client.seen; };

test('mosquitto: a retained message and those for who is away are there after kill -9', async (t) => {
  const dir = folder(t);
  let hub = await start(t, dir);
  const common = () => ['-h', 'localhost', '-p', String(hub.ready.mqtts), '--cafile', hub.ready.ca];
  const away = ['-V', '311', '-c', '-i', 'away', '-q', '2', '-t', 'q/#'];
  const subscribed = await run('/usr/bin/mosquitto_sub', [...common(), ...away, '-E']);
  assert.equal(subscribed.code, 0, subscribed.stderr);
  for (const [qos, topic, text] of [['1', 'm/1', 'one'], ['2', 'm/2', 'two']]) {
    const sent = await run('/usr/bin/mosquitto_pub', [...common(), '-V', '5', '-q', qos, '-r', '-t', topic, '-m', text, '-D', 'publish', 'user-property', 'k', text]);
    assert.equal(sent.code, 0, sent.stderr);
  }
  for (const [qos, topic, text] of [['1', 'q/1', 'one'], ['2', 'q/2', 'two']]) {
    const sent = await run('/usr/bin/mosquitto_pub', [...common(), '-V', '311', '-q', qos, '-t', topic, '-m', text]);
    assert.equal(sent.code, 0, sent.stderr);
  }
  await hub.service.kill('SIGKILL');  // at once after the last acknowledgement
  hub = await start(t, dir, hub.ready);
  const read = await run('/usr/bin/mosquitto_sub', [...common(), ...away, '-C', '2', '-F', '%t %q %p', '-W', '60']);
  assert.deepEqual(read.stdout.trim().split('\n').sort(), ['q/1 1 one', 'q/2 2 two']);
  await hub.service.kill('SIGKILL');
  hub = await start(t, dir, hub.ready);
  const fresh = await run('/usr/bin/mosquitto_sub', [...common(), '-V', '5', '-q', '1', '-t', 'm/#', '-C', '2', '-F', '%t %r %p %P', '-W', '60']);
  assert.deepEqual(fresh.stdout.trim().split('\n').sort(), ['m/1 1 one k:one', 'm/2 1 two k:two']);
});

test(`kill -9 while QoS 1 and 2 flow, ${rounds} times: nothing acknowledged is missing, nothing of QoS 2 is stored twice`, { timeout: 280_000 }, async (t) => {
  console.log(`# seed ${seed}`);
  const next = random(seed);
  const dir = folder(t);
  let hub = await start(t, dir);
  await hub.rest('PUT', '/routes', { routes: [{ name: 'all', source: 'DeviceMessages', condition: 'true', endpoint: { type: 'storage', container: 'all' } }] });
  const first = await connect(t, hub, 'away');
  await first.subscribeAsync('flow/#', { qos: 2 });
  await first.endAsync();

  const acked = [];
  const store = new mqtt.Store({ clean: false });  // of the publisher: MQTT.js sends from it again what was not acknowledged
  const incoming = new mqtt.Store({ clean: false });
  let sent = 0;
  for (let round = 0; round < rounds; ++round) {
    const publisher = await connect(t, hub, 'publisher', { outgoingStore: store, incomingStore: incoming });
    let alive = true;
    const wanted = acked.length + 20 + Math.floor(next() * 300);
    while (acked.length < wanted) {
      const id = String(sent++);
      const qos = sent % 2 === 0 ? 2 : 1;
      publisher.publish(`flow/${qos}`, id, { qos, retain: true }, (error) => { if (!error) acked.push({ id, qos }); });
      if (publisher.getLastMessageId() % 20 === 0) await new Promise(setImmediate);
      while (sent - acked.length > 150 && acked.length < wanted && alive) await new Promise(setImmediate);
    }
    await hub.service.kill('SIGKILL');
    alive = false;
    publisher.end(true);
    hub = await start(t, dir, hub.ready);
  }
  // What was under way is sent again, and one more of each kind, so that everything before it has come.
  const publisher = await connect(t, hub, 'publisher', { outgoingStore: store, incomingStore: incoming });
  await publisher.publishAsync('flow/1', 'last', { qos: 1, retain: true });
  await publisher.publishAsync('flow/2', 'last', { qos: 2, retain: true });

  const away = await connect(t, hub, 'away');
  while (away.seen.filter((m) => m.payload === 'last').length < 2) await once(away, 'seen');
  const got = new Set(away.seen.map((m) => m.payload));
  const missing = acked.filter(({ id }) => !got.has(id));
  assert.deepEqual(missing.slice(0, 5), []);

  const board = await connect(t, hub, 'board', { clean: true });
  await board.subscribeAsync('flow/#', { qos: 1 });
  assert.deepEqual((await seen(board, 2)).map((m) => m.payload), ['last', 'last']);

  const stored = new Map();
  for (const record of await hub.captured('all')) {
    if (record.SystemProperties.mqttTopic !== 'flow/2') continue;
    const text = (record.Body.bytes ?? record.Body).toString();
    stored.set(text, (stored.get(text) ?? 0) + 1);
  }
  const twice = [...stored].filter(([, n]) => n > 1);
  console.log(`# ${rounds} kills, ${sent} sent, ${acked.length} acknowledged, ${away.seen.length} delivered to who was away, ${twice.length} of QoS 2 stored twice`);
  assert.deepEqual(twice, []);
  assert.ok(stored.size > rounds * 5);
});

test('a delayed will survives the hub that was to publish it', async (t) => {
  const dir = folder(t);
  let hub = await start(t, dir);
  const doomed = await connect(t, hub, 'doomed', { will: { topic: 'wills/doomed', payload: 'bye', qos: 1, retain: true, properties: { willDelayInterval: 3 } } });
  doomed.stream.destroy();
  // Its session has no connection from here on; the hub has written that when it answers about it.
  const witness = await connect(t, hub, 'witness', { clean: true, will: undefined });
  for (let i = 0; i < 20; ++i) await witness.publishAsync('tick', String(i), { qos: 2 });
  await hub.service.kill('SIGKILL');
  hub = await start(t, dir, hub.ready);
  const board = await connect(t, hub, 'board', { clean: true });
  await board.subscribeAsync('wills/#', { qos: 1 });
  const [will] = await seen(board, 1);
  assert.equal(will.payload, 'bye');
});
