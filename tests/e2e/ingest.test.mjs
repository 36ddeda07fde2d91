// Webhooks to a server we did not write, and the commands that show how a hub fares.

import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { Hub, folder, run } from './harness.mjs';

/** A receiver of batches: refuses the first, then takes all. */
async function receiver(t) {
  const events = [];
  let requests = 0;
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      if (++requests === 1) return response.writeHead(503).end();
      assert.match(request.headers['content-type'], /^application\/json/);
      events.push(...JSON.parse(Buffer.concat(chunks).toString()));
      response.writeHead(202).end();
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { events, port: server.address().port };
}

test('a webhook gets each message of its condition, and the commands show it', async (t) => {
  const { events, port } = await receiver(t);
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('press-1');
  const routes = { routes: [{ name: 'alarms', condition: '$body.temperature > 50 AND level = \'high\'', endpoint: { type: 'webhook', url: `http://localhost:${port}/in` } }] };
  assert.equal((await hub.rest('PUT', '/routes', routes)).status, 200);
  for (let i = 0; i < 100; ++i) {
    const sent = await hub.rest('POST', `/devices/press-1/messages/events?api-version=2021-04-12`, { temperature: i },
      { Authorization: device.password, 'iothub-app-level': 'high', 'iothub-contenttype': 'application/json', 'iothub-contentencoding': 'utf-8' });
    assert.equal(sent.status, 204);
  }
  for (let attempt = 0; events.length < 49 && attempt < 3000; ++attempt) await hub.rest('GET', '/endpoints');
  assert.deepEqual(events.map((event) => event.body.temperature).sort((a, b) => a - b), Array.from({ length: 49 }, (_, i) => i + 51));
  assert.equal(events[0].systemProperties.connectionDeviceId, 'press-1');

  const listed = await run('nacelle', ['endpoints', '--hub', hub.dir, '--json']);
  assert.equal(listed.code, 0, listed.stderr);
  const [alarms] = JSON.parse(listed.stdout).endpoints;
  assert.equal(alarms.route, 'alarms');
  assert.equal(alarms.endpoint, `webhook:http://localhost:${port}/in`);
  assert.equal(alarms.lost, 0);

  const top = await run('nacelle', ['top', '--hub', hub.dir, '--json', '--count', '1', '--interval', '0.1']);
  assert.equal(top.code, 0, top.stderr);
  const now = JSON.parse(top.stdout);
  assert.equal(now.acked, 100);
  assert.equal(now.refused, 0);
  assert.equal(now.routes.find((route) => route.route === 'alarms').lost, 0);
  const drawn = await run('nacelle', ['top', '--hub', hub.dir, '--count', '1', '--interval', '0.1']);
  assert.match(drawn.stdout, /ROUTE[^]*alarms/);
});

test('a webhook to another machine in the open is refused', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const answer = await hub.rest('PUT', '/routes', { routes: [{ name: 'a', endpoint: { type: 'webhook', url: 'http://example.com/' } }] });
  assert.equal(answer.status, 400);
  assert.match(JSON.stringify(answer.body), /travel in the open/);
});
