// Queries: the unmodified Registry.createQuery pages through devices and modules, and a mistake says where it is.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Hub, folder } from './harness.mjs';
import { registryClient } from './service-sdk.mjs';

after(() => setTimeout(() => process.exit(), 500).unref());

/** By callback: the SDK's `next()` as a promise forgets the continuation and asks for the first page for ever. */
const next = (query) => new Promise((resolve, reject) => query.next((error, rows) => (error ? reject(error) : resolve(rows))));

async function all(query) {
  const rows = [];
  while (query.hasMoreResults) rows.push(...await next(query));
  return rows;
}

test('Registry.createQuery gives every device once, page by page', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const registry = registryClient(t, hub);
  const ids = Array.from({ length: 25 }, (_, i) => `engine-${String(i).padStart(2, '0')}`);
  for (const [i, id] of ids.entries()) {
    await hub.createDevice(id);
    await registry.updateTwin(id, { tags: { site: i % 2 ? 'north' : 'south', cell: { n: i } } }, '*');
  }
  const query = registry.createQuery('SELECT * FROM devices', 10);
  const twins = [];
  while (query.hasMoreResults) twins.push(...(await query.nextAsTwin()).result);
  assert.deepEqual(twins.map((twin) => twin.deviceId), ids);
  assert.equal(twins[3].tags.cell.n, 3);
  assert.equal(typeof twins[3].update, 'function', 'rows of type twin become Twin objects');

  const some = await all(registry.createQuery("SELECT deviceId, tags.cell.n AS n FROM devices WHERE tags.site = 'north' AND tags.cell.n >= 20", 2));
  assert.deepEqual(some, [21, 23].map((n) => ({ deviceId: ids[n], n })));
  const counted = await all(registry.createQuery('SELECT tags.site AS site, COUNT() AS n, AVG(tags.cell.n) AS mean FROM devices GROUP BY tags.site ORDER BY site'));
  assert.deepEqual(counted, [{ site: 'north', n: 12, mean: 12 }, { site: 'south', n: 13, mean: 12 }]);

  await registry.addModule({ deviceId: 'engine-00', moduleId: 'filter' });
  const modules = await all(registry.createQuery("SELECT * FROM devices.modules WHERE moduleId = 'filter'"));
  assert.deepEqual(modules.map((twin) => [twin.deviceId, twin.moduleId]), [['engine-00', 'filter']]);
});

test('a mistake in a query is a 400 with line and column', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const registry = registryClient(t, hub);
  await assert.rejects(next(registry.createQuery('SELECT * FROM devices WHERE tags.a ==', 10)), (error) => {
    assert.equal(error.response.statusCode, 400);
    assert.match(error.responseBody, /line 1, column 37/);
    return true;
  });
  const answer = await hub.rest('POST', '/devices/query', { query: 'SELECT * FROM devices' }, { 'x-ms-max-item-count': '0' });
  assert.equal(answer.status, 400);
});
