// kill -9 of the hub while services and devices change things: whatever was answered with success is there after the restart:
// new devices, desired and reported properties with their versions, messages that wait for a device.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import mqtt from 'mqtt';
import { Hub, folder, random } from './harness.mjs';

const rounds = Number(process.env.KILL_ROUNDS ?? 6);
const seed = Number(process.env.SEED ?? 20260103);
const api = 'api-version=2021-04-12';

/** Calls the hub again and again until it is gone; `keep` gets each success. */
async function repeat(alive, call, keep) {
  for (let i = 0; alive(); ++i) {
    let answer;
    try { answer = await call(i); } catch { return; }  // the hub was killed: this one was not acknowledged
    if (answer.status < 300) keep(answer, i);
    else assert.fail(`${answer.status} ${JSON.stringify(answer.body)}`);
  }
}

test(`kill -9 while twins, devices and messages change, ${rounds} times: nothing acknowledged is lost`, { timeout: 200_000 }, async (t) => {
  console.log(`# seed ${seed}`);
  const next = random(seed);
  const dir = folder(t);
  let hub = await Hub.start(t, dir);
  const reporter = await hub.createDevice('reporter');
  await hub.createDevice('desired');

  const created = new Set();
  const queued = new Map();  // device -> message ids, in order
  let desired = { version: 0, value: -1 }, reported = { version: 0, value: -1 };
  let changes = 0;

  for (let round = 0; round < rounds; ++round) {
    const client = mqtt.connect(`mqtts://localhost:${hub.ready.mqtts}`, {
      ca: hub.ca, clientId: reporter.id, username: reporter.userName, password: reporter.password, protocolVersion: 4, reconnectPeriod: 0,
    });
    t.after(() => client.end(true));
    client.on('error', () => {});
    await once(client, 'connect');
    await client.subscribeAsync('$iothub/twin/res/#');
    const answers = new Map();
    client.on('message', (topic) => {
      const [, status, , id, version] = /^\$iothub\/twin\/res\/(\d+)\/\?(.*)\$rid=(\d+)(?:&\$version=(\d+))?/.exec(topic) ?? [];
      answers.get(Number(id))?.({ status: Number(status), version: Number(version) });
    });

    let alive = true;
    const living = () => alive;
    const work = [
      repeat(living, () => hub.rest('PATCH', `/twins/desired?${api}`, { properties: { desired: { value: desired.value + 1 } } }), ({ body }) => {
        desired = { version: body.properties.desired.$version, value: body.properties.desired.value };
        ++changes;
      }),
      repeat(living, (i) => hub.rest('PUT', `/devices/new-${round}-${i}?${api}`, { deviceId: `new-${round}-${i}` }), ({ body }) => {
        created.add(`${body.deviceId}:${body.authentication.symmetricKey.primaryKey}`);
        queued.set(body.deviceId, []);
        ++changes;
      }),
      repeat(living, async (i) => {
        const to = [...queued.keys()].find((device) => queued.get(device).length < 20) ?? reporter.id;
        if (to === reporter.id) return hub.rest('GET', `/statistics/devices?${api}`);
        const id = `${round}-${i}`;
        const answer = await hub.rest('POST', `/devices/${to}/messages/devicebound?${api}`, `message ${id}`, { 'iothub-messageid': id, 'Content-Type': 'text/plain' });
        if (answer.status === 200) { queued.get(to).push(id); ++changes; }
        return answer;
      }, () => {}),
      repeat(living, (i) => new Promise((resolve, reject) => {
        client.once('close', reject);
        const rid = round * 100_000 + i;
        answers.set(rid, ({ status, version }) => {
          client.removeListener('close', reject);
          answers.delete(rid);
          resolve({ status, body: { version, value: rid } });
        });
        client.publish(`$iothub/twin/PATCH/properties/reported/?$rid=${rid}`, JSON.stringify({ value: rid }));
      }), ({ body }) => { reported = body; ++changes; }),
    ];
    const until = changes + 20 + Math.floor(next() * 150);
    while (changes < until) await new Promise(setImmediate);
    await hub.service.kill('SIGKILL');
    alive = false;
    await Promise.all(work);
    client.end(true);
    hub = await Hub.start(t, dir, hub.ready);

    // One change of each kind may have been made durable and not answered: never less than what was acknowledged.
    const wanted = (await hub.rest('GET', `/twins/desired?${api}`)).body.properties.desired;
    assert.ok(wanted.$version === desired.version ? wanted.value === desired.value : wanted.$version === desired.version + 1,
      `desired: acknowledged ${JSON.stringify(desired)}, found ${JSON.stringify(wanted)}`);
    desired = { version: wanted.$version, value: wanted.value ?? -1 };
    const told = (await hub.rest('GET', `/twins/reporter?${api}`)).body.properties.reported;
    assert.ok(told.$version === reported.version ? (told.value ?? -1) === reported.value : told.$version === reported.version + 1,
      `reported: acknowledged ${JSON.stringify(reported)}, found ${JSON.stringify(told)}`);
    reported = { version: told.$version, value: told.value ?? -1 };
  }

  for (const one of created) {
    const [id, key] = [one.slice(0, one.indexOf(':')), one.slice(one.indexOf(':') + 1)];
    const found = await hub.rest('GET', `/devices/${id}?${api}`);
    assert.equal(found.body.authentication?.symmetricKey.primaryKey, key, id);
  }
  let waiting = 0;
  for (const [device, ids] of queued) {
    if (ids.length === 0) continue;
    const { body: document } = await hub.rest('GET', `/devices/${device}?${api}`);
    const received = [];
    for (;;) {
      const message = await hub.rest('GET', `/devices/${device}/messages/devicebound?${api}`, undefined, { Authorization: hub.deviceToken(device, document) });
      if (message.status === 204) break;
      assert.equal(message.status, 200, JSON.stringify(message.body));
      received.push(message.headers['iothub-messageid']);
    }
    assert.deepEqual(ids.filter((id) => !received.includes(id)), [], `${device}: messages that were acknowledged and are gone`);
    assert.deepEqual(received.filter((id) => ids.includes(id)), ids, `${device}: order`);
    waiting += received.length;
  }
  console.log(`# ${rounds} kills; ${created.size} devices made, desired at version ${desired.version}, reported at ${reported.version}, ` +
    `${waiting} messages waiting; nothing acknowledged is missing`);
  assert.ok(created.size > rounds && waiting > rounds && desired.version > rounds && reported.version > rounds);
});
