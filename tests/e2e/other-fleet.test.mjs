// Pumps instead of turbofans, all the way: a model of their readings is trained, deployed to an edge whose modules are told the fleet's
// schema, answers there as `nacelle predict` does, and what the edge uploads comes back as a table of pumps.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import mqtt from 'mqtt';
import { Hub, Service, eventually, folder, okJson as ok, random, run } from './harness.mjs';

const schema = { machine: 'pump', id: 'pump', time: 'hour', settings: [{ name: 'load', tolerance: 10 }], sensors: ['vibration', 'heat in', 'flow'] };

/** Readings of `count` pumps, numbered from `first`, that wear out; `part` of each life. */
function pumps(count, first, seed, part = 1) {
  const next = random(seed);
  const rows = [];
  for (let p = first; p < first + count; ++p) {
    const life = 80 + Math.round(60 * next());
    for (let hour = 1; hour <= life * part; ++hour) {
      const wear = Math.max(0, hour / life - 0.4) ** 2;
      const noise = () => next() - 0.5;
      rows.push({ pump: p, hour, load: 50, vibration: 2 + 20 * wear + noise(), 'heat in': 60 + 40 * wear + noise(), flow: 9 - 5 * wear + 0.2 * noise() });
    }
  }
  return rows;
}
const columns = ['pump', 'hour', 'load', 'vibration', 'heat in', 'flow'];
const csv = (rows) => [columns.join(','), ...rows.map((row) => columns.map((name) => row[name]).join(','))].join('\n') + '\n';

test('a fleet of pumps needs a schema at the edge, and no code', { timeout: 280_000 }, async (t) => {
  const dir = folder(t);
  const at = (name) => path.join(dir, name);
  writeFileSync(at('schema.json'), JSON.stringify(schema));
  writeFileSync(at('train.csv'), csv(pumps(14, 1, 5)));
  await ok(['train', '--data', at('train.csv'), '--schema', at('schema.json'), '--trainer', 'ridge', '--folds', '2', '--out', at('model')]);

  const hub = await Hub.start(t, at('hub'));
  const edge = await hub.createDevice('edge1', { capabilities: { iotEdge: true } });
  const names = ['pump-21', 'pump-22'];
  const machines = [];
  for (const name of names) machines.push(await hub.createDevice(name, { deviceScope: edge.document.deviceScope }));
  const manifest = JSON.parse(readFileSync(new URL('../../examples/manifests/turbofan.json', import.meta.url), 'utf8'));
  const modules = manifest.modulesContent.$edgeAgent['properties.desired'].modules;
  for (const module of Object.values(modules)) module.env = { ...module.env, FLEET_SCHEMA: { value: JSON.stringify(schema) } };
  Object.assign(modules.avroFileWriter.env, { SLICE_SECONDS: { value: '2' }, IDLE_SECONDS: { value: '1' }, UPLOAD_SECONDS: { value: '1' } });
  writeFileSync(at('manifest.json'), JSON.stringify(manifest));
  await ok(['deploy', '--device', 'edge1', '--manifest', at('manifest.json'), '--model', at('model'), '--hub', at('hub')]);
  const service = await Service.start(t, ['edge', '--data', at('edge'), '--ca', hub.ready.ca, '--hub-mqtts', String(hub.ready.mqtts), '--mqtts', '0'],
    { NACELLE_EDGE_CONNECTION: `HostName=localhost:${hub.ready.https};DeviceId=edge1;SharedAccessKey=${edge.key}` });

  const sent = pumps(2, 21, 9, 0.7);
  writeFileSync(at('sent.csv'), csv(sent));
  for (const [i, machine] of machines.entries()) {
    const client = await mqtt.connectAsync(`mqtts://localhost:${service.ready.mqtts}`, {
      ca: hub.ca, clientId: machine.id, username: machine.userName, password: machine.password, protocolVersion: 4,
    });
    t.after(() => client.end(true));
    for (const { pump, ...reading } of sent.filter((row) => row.pump === 21 + i))
      await client.publishAsync(`devices/${machine.id}/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8&%24.mid=${pump}-${reading.hour}`, JSON.stringify(reading), { qos: 1 });
  }

  // The last answer for each pump is what is predicted of the table.
  const { engines } = await ok(['predict', '--model', at('model'), '--data', at('sent.csv'), '--schema', at('schema.json')]);
  for (const { unit, cycle, rul } of engines) {
    const answer = await eventually(async () => {
      for (const record of await hub.captured()) {
        const body = JSON.parse(record.Body.toString());
        if (body.ConnectionDeviceId === `pump-${unit}` && body.hour === cycle) return body;
      }
      return null;
    });
    assert.equal(answer.PredictedRul, rul, `pump ${unit}`);
  }

  // The full records come back as a table: the values that were sent.
  const imported = await eventually(async () => {
    const result = await run('nacelle', ['data', 'import', '--uploads', at('hub'), '--schema', at('schema.json'), '--out', at('back.csv'), '--json']);
    return result.code === 0 && JSON.parse(result.stdout).rows === sent.length && JSON.parse(result.stdout);
  });
  assert.deepEqual([imported.engines, imported.duplicates, imported.unreadable], [2, 0, 0]);
  const table = await ok(['data', 'import', '--csv', at('sent.csv'), '--schema', at('schema.json'), '--out', at('again.csv')]);
  assert.equal(imported.sha256, table.sha256, 'bit for bit');
});
