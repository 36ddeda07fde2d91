// Routing from the command line: enrichment, the fallback, the hub's own messages, JSON capture, what a test of a route says, and
// consumer groups; read back with readers that are not ours (avsc, JSON.parse).

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Hub, folder, run } from './harness.mjs';

async function nacelle(hub, ...args) {
  const result = await run('nacelle', [...args, '--hub', hub.dir]);
  assert.equal(result.code, 0, `nacelle ${args.join(' ')}\n${result.stderr}`);
  return result.stdout;
}

async function send(hub, device, body, properties = {}) {
  const sent = await hub.rest('POST', `/devices/${device.id}/messages/events?api-version=2021-04-12`, body,
    { Authorization: device.password, 'iothub-contenttype': 'application/json', 'iothub-contentencoding': 'utf-8', ...properties });
  assert.equal(sent.status, 204);
}

const below = (dir) => readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => path.join(entry.path ?? entry.parentPath, entry.name));

const routes = {
  routes: [
    { name: 'hot', condition: "$body.t > 50 AND $twin.tags.site = 'north'", endpoint: { type: 'storage', container: 'hot', encoding: 'json' } },
    { name: 'also', condition: '$body.t > 50', endpoint: { type: 'storage', container: 'also' } },
    { name: 'life', source: 'DeviceLifecycleEvents', endpoint: { type: 'storage', container: 'life' } },
    { name: 'twins', source: 'TwinChangeEvents', endpoint: { type: 'events' } },
  ],
};

test('what routes take is enriched and captured, the rest falls back, and the commands say why', async (t) => {
  const dir = folder(t);
  const hub = await Hub.start(t, dir);
  assert.equal((await hub.rest('PUT', '/routes', routes)).status, 200);
  await nacelle(hub, 'routes', 'enrich', 'site', '$twin.tags.site', '--endpoint', 'storage:hot', '--endpoint', 'events');
  await nacelle(hub, 'routes', 'enrich', 'hub', '$iothubname', '--endpoint', 'storage:also');
  const listed = await nacelle(hub, 'routes', 'list');
  assert.match(listed, /\$fallback +enabled/);
  assert.match(listed, /enrichment site = \$twin\.tags\.site on storage:hot events/);

  const device = await hub.createDevice('press-1');
  assert.equal((await hub.rest('PATCH', '/twins/press-1', { tags: { site: 'north' } })).status, 200);
  for (let i = 0; i < 10; ++i) await send(hub, device, { t: 48 + i, z: 1, a: [1.5] }, { 'iothub-app-site': 'forged' });

  // Avro, by avsc; lines of JSON, by JSON.parse.
  const also = await hub.captured('also');
  assert.equal(also.length, 7);
  assert.equal(also[0].Properties.hub, 'localhost');
  assert.equal(also[0].Properties.site, 'forged');
  const files = below(path.join(dir, 'objects/capture/hot'));
  assert.ok(files.every((file) => /-\d{2}-\d{12}-\d{12}\.json$/.test(file)), files.join());
  const lines = files.flatMap((file) => readFileSync(file, 'utf8').split('\n').filter(Boolean)).map((line) => JSON.parse(line));
  assert.deepEqual(lines.map((line) => line.Body.t), [51, 52, 53, 54, 55, 56, 57]);
  assert.deepEqual(Object.keys(lines[0]), ['EnqueuedTimeUtc', 'Properties', 'SystemProperties', 'Body']);
  assert.equal(lines[0].Properties.site, 'north');

  const life = await hub.captured('life');
  assert.deepEqual(life.map((record) => record.Properties.opType), ['createDeviceIdentity']);
  assert.equal(life[0].SystemProperties['iothub-message-source'], 'deviceLifecycleEvents');

  // The built-in endpoint: what no route took, and the changed twin.
  const watched = (await nacelle(hub, 'events', 'watch', '--from', 'start', '--max', '4', '--json')).trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(watched.filter((event) => event.body.t).map((event) => event.body.t), [48, 49, 50]);
  const [change] = watched.filter((event) => event.properties.opType === 'updateTwin');
  assert.equal(change.body.tags.site, 'north');

  // avro cat: of a folder, members by name, bodies decoded.
  const cat = (await run('nacelle', ['avro', 'cat', path.join(dir, 'objects/capture/also'), '--json'])).stdout.trim().split('\n');
  assert.equal(cat.length, 7);
  assert.match(cat[0], /^\{"Body":\{"a":\[1\.5\],"t":51,"z":1\},"EnqueuedTimeUtc":"/);

  const sample = path.join(dir, 'sample.json');
  writeFileSync(sample, JSON.stringify({ body: { t: 60 }, systemProperties: { connectionDeviceId: 'press-1' } }));
  const tried = JSON.parse(await nacelle(hub, 'routes', 'test', '--message', sample, '--json'));
  assert.deepEqual(tried.routes.map((route) => route.matches), [true, true, false, false]);
  assert.equal(tried.routes[0].enriched.site, 'north');
  writeFileSync(sample, JSON.stringify({ body: 'text' }));
  assert.match(await nacelle(hub, 'routes', 'test', '--message', sample, '--route', 'hot'), /undefined because \$body\.t: contentType is ''/);
  const fresh = path.join(dir, 'route.json');
  writeFileSync(fresh, JSON.stringify({ name: 'new', condition: '$body.t >', endpoint: { type: 'events' } }));
  const refused = await run('nacelle', ['routes', 'test', '--message', sample, '--route', fresh, '--hub', dir]);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /route 'new'.*column/);

  await nacelle(hub, 'routes', 'unenrich', 'hub');
  assert.match(await nacelle(hub, 'routes', 'fallback', 'off'), /\$fallback +disabled/);
  await send(hub, device, { t: 1 });
  const after = (await hub.rest('GET', '/events?from=start&waitSeconds=0&maxEvents=1000')).body.events;
  assert.deepEqual(after.map((event) => event.properties.opType), ['updateTwin']);
});

test('consumer groups are listed, set to an offset and forgotten; what is behind shows in top', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('d1');
  for (let i = 0; i < 5; ++i) await send(hub, device, { i });
  const first = (await hub.rest('GET', '/events?from=start&waitSeconds=0&device=d1')).body.events;
  const { partition } = first[0];
  await nacelle(hub, 'events', 'checkpoint', '--group', 'reports', '--offset', `${partition}:${first[3].offset}`);
  const { consumerGroups: [group] } = JSON.parse(await nacelle(hub, 'events', 'groups', '--json'));
  assert.deepEqual([group.name, group.behind], ['reports', 2]);
  const rest = (await nacelle(hub, 'events', 'watch', '--group', 'reports', '--from', 'checkpoint', '--max', '2', '--json', '--checkpoint')).trim().split('\n');
  assert.deepEqual(rest.map((line) => JSON.parse(line).body.i), [3, 4]);
  const again = (await nacelle(hub, 'events', 'watch', '--offset', `${partition}:${first[4].offset}`, '--partition', String(partition), '--max', '1', '--json')).trim();
  assert.equal(JSON.parse(again).body.i, 4);
  const top = JSON.parse((await run('nacelle', ['top', '--hub', hub.dir, '--json', '--count', '1', '--interval', '0.1'])).stdout);
  assert.deepEqual(top.consumerGroups, [{ group: 'reports', behind: 0 }]);
  await nacelle(hub, 'events', 'forget', '--group', 'reports');
  assert.deepEqual(JSON.parse(await nacelle(hub, 'events', 'groups', '--json')).consumerGroups, []);
});
