// The command line over a whole fleet: devices out and in again, questions, jobs, configurations, enrolments.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Hub, folder, run } from './harness.mjs';

async function nacelle(hub, args) {
  const answer = await run('nacelle', [...args, '--hub', hub.dir]);
  assert.equal(answer.code, 0, `nacelle ${args.join(' ')}: ${answer.stderr}`);
  return answer.stdout;
}

test('a fleet goes from one hub to another, is asked about, changed and configured', async (t) => {
  const dir = folder(t);
  const one = await Hub.start(t, path.join(dir, 'one'));
  const two = await Hub.start(t, path.join(dir, 'two'));
  for (const id of ['a', 'b', 'c']) {
    await one.createDevice(id);
    await one.rest('PATCH', `/twins/${id}`, { tags: { line: id === 'c' ? 'y' : 'x' } });
  }
  const file = path.join(dir, 'fleet.ndjson');
  await nacelle(one, ['devices', 'export', file, '--keys']);
  const lines = readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(lines.map((line) => [line.id, line.tags.line]), [['a', 'x'], ['b', 'x'], ['c', 'y']]);
  assert.equal(JSON.parse(await nacelle(two, ['devices', 'import', file, '--json'])).imported, 3);
  const key = async (hub) => (await hub.rest('GET', '/devices/a')).body.authentication.symmetricKey.primaryKey;
  assert.equal(await key(two), await key(one), 'with its key');
  const without = await nacelle(one, ['devices', 'export', '-']);
  assert.ok(!without.includes(await key(one)), 'keys only when asked for');

  const rows = JSON.parse(await nacelle(two, ['query', 'SELECT tags.line AS line, COUNT() AS n FROM devices GROUP BY tags.line ORDER BY line', '--json']));
  assert.deepEqual(rows, [{ line: 'x', n: 2 }, { line: 'y', n: 1 }]);
  assert.match(await nacelle(two, ['query', "SELECT deviceId FROM devices WHERE tags.line = 'y'"]), /deviceId\s+c/);
  const wrong = await run('nacelle', ['query', 'SELECT * FROM device', '--hub', two.dir]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /line 1, column 15/);

  const job = JSON.parse(await nacelle(two, ['jobs', 'schedule', '--id', 'j', '--where', "tags.line = 'x'", '--desired', '{"rate":5}', '--wait', '--json']));
  assert.deepEqual([job.status, job.deviceJobStatistics.succeededCount], ['completed', 2]);
  assert.match(await nacelle(two, ['jobs', 'list']), /j\s+scheduleUpdateTwin\s+completed\s+2/);

  const content = path.join(dir, 'content.json');
  writeFileSync(content, JSON.stringify({ deviceContent: { 'properties.desired.fw': 3 } }));
  await nacelle(two, ['configurations', 'apply', 'fw', '--file', content, '--condition', "tags.line = 'y'", '--priority', '4']);
  for (let i = 0; i < 100 && (await two.rest('GET', '/twins/c')).body.properties.desired.fw !== 3; ++i) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.match(await nacelle(two, ['configurations', 'list']), /fw\s+4\s+1\s+1\s+tags.line = 'y'/);
  await nacelle(two, ['configurations', 'remove', 'fw']);

  await nacelle(two, ['enrollments', 'create', 'line-x', '--group']);
  const secret = JSON.parse(await nacelle(two, ['enrollments', 'key', 'line-x', '--group', '--registration', 'm-1', '--json']));
  assert.match(secret.idScope, /^0ne[0-9A-F]{8}$/);
  assert.equal(Buffer.from(secret.key, 'base64').length, 32);
  assert.match(await nacelle(two, ['enrollments', 'list']), /line-x\s+group\s+symmetricKey\s+enabled/);
});
