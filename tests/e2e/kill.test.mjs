// kill -9 of the hub in the middle of ingest, at random moments, many times: every acknowledged message is in the
// capture exactly once, and none that was never sent.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { once } from 'node:events';
import mqtt from 'mqtt';
import { Hub, folder, random } from './harness.mjs';

const rounds = Number(process.env.KILL_ROUNDS ?? 12);
const seed = Number(process.env.SEED ?? 20260101);

test(`kill -9 during ingest, ${rounds} times: each acknowledged message is captured exactly once`, { timeout: 280_000 }, async (t) => {
  console.log(`# seed ${seed}`);
  const next = random(seed);
  const dir = folder(t);
  let hub = await Hub.start(t, dir);
  const devices = [];
  for (let i = 1; i <= 4; ++i) devices.push(await hub.createDevice(`Client_00${i}`));

  const acked = new Set();
  const sent = new Set();
  for (let round = 0; round < rounds; ++round) {
    const clients = await Promise.all(devices.map(async (device) => {
      const client = mqtt.connect(`mqtts://localhost:${hub.ready.mqtts}`, {
        ca: hub.ca, clientId: device.id, username: device.userName, password: device.password, protocolVersion: 4, clean: true, reconnectPeriod: 0,
      });
      client.on('error', () => {});
      await once(client, 'connect');
      return { client, device };
    }));

    let alive = true;
    const senders = clients.map(async ({ client, device }) => {
      let waiting = 0;
      for (let i = 0; alive; ++i) {
        while (alive && waiting >= 200) await new Promise(setImmediate);
        const id = `${device.id}:${round}:${i}`;
        sent.add(id);
        ++waiting;
        client.publish(`devices/${device.id}/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8&%24.mid=${encodeURIComponent(id)}`,
          JSON.stringify({ CycleTime: i, OperationalSetting1: 1 }), { qos: 1 }, (error) => { --waiting; if (!error) acked.add(id); });
      }
    });
    const before = acked.size;
    const wanted = 50 + Math.floor(next() * 3000);  // die after so many more acknowledgements
    while (acked.size < before + wanted) await new Promise(setImmediate);
    await hub.service.kill('SIGKILL');
    alive = false;
    await Promise.all(senders);
    for (const { client } of clients) client.end(true);
    hub = await Hub.start(t, dir, hub.ready);
  }

  const count = new Map();
  for (const record of await hub.captured('devicedata')) {
    const id = record.SystemProperties.messageId;
    count.set(id, (count.get(id) ?? 0) + 1);
  }
  const missing = [...acked].filter((id) => !count.has(id));
  const twice = [...count].filter(([, n]) => n > 1);
  const invented = [...count.keys()].filter((id) => !sent.has(id));
  console.log(`# ${rounds} kills, ${sent.size} sent, ${acked.size} acknowledged, ${count.size} captured, ` +
    `${missing.length} missing, ${twice.length} twice, ${invented.length} invented`);
  assert.ok(acked.size > rounds * 50);
  assert.deepEqual([missing.slice(0, 5), twice.slice(0, 5), invented.slice(0, 5)], [[], [], []]);
});
