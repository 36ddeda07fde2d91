// The edge at its worst: killed at random moments while machines send, the hub gone in between, started again with no hub in
// reach. What a machine was told is acknowledged arrives, as a prediction at the hub and exactly once as an uploaded record.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import mqtt from 'mqtt';
import { Hub, Service, eventually, folder, okJson as ok, random, readAvroFolder, run, sas } from './harness.mjs';

const seed = Number(process.env.SEED ?? 20260102);
const rounds = Number(process.env.KILL_ROUNDS ?? 5);
const edgeName = 'edge1';

/** The tutorial's manifest with short slices, so that files are uploaded while the test looks. */
function quickManifest(file) {
  const example = new URL('../../examples/manifests/turbofan.json', import.meta.url);
  const manifest = JSON.parse(readFileSync(example, 'utf8'));
  const modules = manifest.modulesContent.$edgeAgent['properties.desired'].modules;
  Object.assign(modules.avroFileWriter.env, { SLICE_SECONDS: { value: '2' }, IDLE_SECONDS: { value: '1' }, UPLOAD_SECONDS: { value: '1' } });
  writeFileSync(file, JSON.stringify(manifest));
  return file;
}

class Site {
  /** A hub, a small model, an edge with the three modules, four machines that are its children. */
  static async build(t) {
    const site = new Site();
    site.t = t;
    site.dir = folder(t);
    const at = (name) => path.join(site.dir, name);
    site.hub = await Hub.start(t, at('hub'));
    await run('nacelle', ['simulate', 'generate', '--engines', '12', '--seed', '5', '--out', at('train.txt')]);
    await ok(['train', '--data', at('train.txt'), '--trainer', 'ridge', '--out', at('model'), '--folds', '2']);
    const edge = await site.hub.createDevice(edgeName, { capabilities: { iotEdge: true } });
    site.connection = `HostName=localhost:${site.hub.ready.https};DeviceId=${edgeName};SharedAccessKey=${edge.key}`;
    site.machines = [];
    for (let i = 1; i <= 4; ++i) site.machines.push(await site.hub.createDevice(`Client_00${i}`, { deviceScope: edge.document.deviceScope }));
    await ok(['deploy', '--device', edgeName, '--manifest', quickManifest(at('manifest.json')), '--model', at('model'), '--hub', at('hub')]);
    await site.startEdge(0);
    site.port = site.edge.ready.mqtts;
    return site;
  }

  async startEdge(port) {
    this.edge = await Service.start(this.t, ['edge', '--data', path.join(this.dir, 'edge'), '--ca', this.hub.ready.ca,
      '--hub-mqtts', String(this.hub.ready.mqtts), '--mqtts', String(port)], { NACELLE_EDGE_CONNECTION: this.connection });
  }

  async restartHub() {
    this.hub = await Hub.start(this.t, path.join(this.dir, 'hub'), this.hub.ready);
  }

  /** Machines that send one reading after the other and repeat what was not acknowledged, as MQTT clients do. */
  connect() {
    this.acked = new Set();
    for (const machine of this.machines) {
      machine.cycle = 0;
      machine.client = mqtt.connect(`mqtts://localhost:${this.port}`, {
        ca: this.hub.ca, clientId: machine.id, username: machine.userName, password: machine.password,
        protocolVersion: 4, clean: false, reconnectPeriod: 100,
      });
      machine.client.on('error', () => {});
      this.t.after(() => machine.client.end(true));
    }
  }

  /** `count` more readings of each machine; back when all are acknowledged. */
  send(count) {
    return Promise.all(this.machines.map(async (machine) => {
      for (let i = 0; i < count; ++i) {
        const cycle = ++machine.cycle;
        const reading = { CycleTime: cycle, OperationalSetting1: 0.1, OperationalSetting2: 0.2, OperationalSetting3: 100 };
        for (let s = 1; s <= 21; ++s) reading[`Sensor${s}`] = 500 + s + cycle / 100;
        const topic = `devices/${machine.id}/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8&%24.mid=${machine.id}-${cycle}`;
        await machine.client.publishAsync(topic, JSON.stringify(reading), { qos: 1 });
        this.acked.add(`${machine.id}:${cycle}`);
      }
    }));
  }

  /** Readings with a prediction in the hub's capture, in the order of their first one: name -> how often. */
  async predictions() {
    const seen = new Map();
    for (const record of await this.hub.captured()) {
      let body;
      try { body = JSON.parse(record.Body.toString()); } catch { continue; }
      if (body.PredictedRul === undefined) continue;
      const name = `${body.ConnectionDeviceId}:${body.CycleTime}`;
      seen.set(name, (seen.get(name) ?? 0) + 1);
    }
    return seen;
  }

  async uploaded() {
    const seen = new Map();
    for (const record of await readAvroFolder(path.join(this.dir, 'hub/objects/uploads'))) {
      const name = `${record.ConnectionDeviceId}:${record.Body.CycleTime}`;
      seen.set(name, (seen.get(name) ?? 0) + 1);
    }
    return seen;
  }
}

test(`the edge killed ${rounds} times, the hub twice, and started offline: nothing acknowledged is lost`, { timeout: 280_000 }, async (t) => {
  console.log(`# seed ${seed}`);
  const next = random(seed);
  const site = await Site.build(t);
  site.connect();
  await site.send(20);

  for (let round = 0; round < rounds; ++round) {
    const sending = site.send(60);
    const before = site.acked.size, wanted = 10 + Math.floor(next() * 200);
    await eventually(() => site.acked.size >= before + wanted);
    if (round % 2 === 1) {  // the hub goes first, and is back only after the edge is
      await site.hub.service.kill('SIGKILL');
      await eventually(() => site.acked.size >= before + wanted + 10);
    }
    await site.edge.kill('SIGKILL');
    await site.startEdge(site.port);
    if (round % 2 === 1) await site.restartHub();
    await sending;
  }

  // No hub at all: the edge starts, lets the machines in, scores and stores.
  await site.hub.service.kill('SIGKILL');
  await site.edge.kill('SIGTERM');
  await site.startEdge(site.port);
  assert.equal(site.edge.ready.offline, true);
  const stored = site.acked.size;
  await site.send(50);
  assert.equal(site.acked.size, stored + 200);
  await site.restartHub();
  const back = Date.now();
  const first = await eventually(async () => {
    const statistics = await site.hub.rest('GET', '/statistics/messages');
    return statistics.body.received > 0 && Date.now() - back;
  });
  const predicted = await eventually(async () => {
    const seen = await site.predictions();
    return [...site.acked].every((name) => seen.has(name)) && seen;
  });
  const uploads = await eventually(async () => {
    const seen = await site.uploaded();
    return [...site.acked].every((name) => seen.has(name)) && seen;
  });

  const repeatedPredictions = [...predicted.values()].filter((n) => n > 1).length;
  const repeatedRecords = [...uploads.values()].filter((n) => n > 1).length;
  console.log(`# ${site.acked.size} readings acknowledged, all predicted (${repeatedPredictions} more than once) and uploaded ` +
    `(${repeatedRecords} more than once); the first message ${first} ms after the hub was back`);
  assert.deepEqual([...predicted.keys()].filter((name) => !site.acked.has(name)), [], 'predictions of readings nobody sent');
  assert.equal(repeatedRecords, 0);
  for (const machine of site.machines) {
    const cycles = [...predicted.keys()].filter((name) => name.startsWith(`${machine.id}:`)).map((name) => Number(name.split(':')[1]));
    assert.deepEqual(cycles, [...cycles].sort((a, b) => a - b), `${machine.id}: out of order`);
  }
  const { code } = await site.edge.kill('SIGTERM');
  assert.equal(code, 0, site.edge.log.slice(-2000));
});
