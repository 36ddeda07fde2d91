// Many devices at once, with the unmodified azure-iothub: configurations, jobs over twins and methods, and what a kill leaves of a job.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import deviceSdk from 'azure-iot-device';
import mqttSdk from 'azure-iot-device-mqtt';
import iothub from 'azure-iothub';
import { Hub, folder, updatesBegun } from './harness.mjs';
import { agentOf, registryClient } from './service-sdk.mjs';

after(() => setTimeout(() => process.exit(), 500).unref());

const { Client } = deviceSdk;
const { Mqtt } = mqttSdk;

function jobClient(t, hub) {
  const client = iothub.JobClient.fromConnectionString(hub.file.connectionString);
  const agent = agentOf(hub);
  t.after(() => agent.destroy());
  client._restApiClient.setOptions({ http: { agent } });
  return client;
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what, ask) {
  for (let i = 0; i < 300; ++i) {
    const answer = await ask();
    if (answer) return answer;
    await pause(100);
  }
  throw new Error(`not within half a minute: ${what}`);
}

async function finished(jobs, id) {
  return until(`job ${id}`, async () => {
    const { jobStatus: result } = await jobs.getJob(id);
    return ['completed', 'failed', 'cancelled'].includes(result.status) && result;
  });
}

test('a configuration reaches a connected device, and its metrics count it', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const registry = registryClient(t, hub);
  const device = await hub.createDevice('machine-1');
  await hub.createDevice('machine-2');
  const client = Client.fromConnectionString(device.connectionString, Mqtt);
  t.after(() => client.close().catch(() => {}));
  await client.setOptions({ ca: hub.ca });
  await client.open();
  const twin = await client.getTwin();
  const told = new Promise((resolve) => twin.on('properties.desired.fw', resolve));
  await updatesBegun(twin);

  await registry.addConfiguration({
    id: 'line-a', priority: 10, targetCondition: "tags.line='a'", labels: { team: 'x' },
    content: { deviceContent: { 'properties.desired.fw': { v: 2 } } },
    metrics: { queries: { ok: "SELECT deviceId FROM devices WHERE configurations.[[line-a]].status='Applied'" } },
  });
  await registry.updateTwin('machine-1', { tags: { line: 'a' } }, '*');
  assert.deepEqual(await told, { v: 2 });
  const configuration = await until('applied', async () => {
    const answer = await registry.getConfiguration('line-a');
    const found = answer.responseBody ?? answer.result ?? answer;
    return found.systemMetrics.results.appliedCount === 1 && found;
  });
  assert.equal(configuration.systemMetrics.results.targetedCount, 1);
  assert.equal(configuration.metrics.results.ok, 1);
  assert.deepEqual(configuration.labels, { team: 'x' });
  await registry.updateConfiguration({ ...configuration, targetCondition: "tags.line='b'" }, true);
  await until('no longer targeted', async () => (await hub.rest('GET', '/twins/machine-1')).body.configurations === undefined);
  await registry.removeConfiguration('line-a');
  assert.equal((await hub.rest('GET', '/configurations')).body.length, 0);
});

test('jobs: twins of a query are updated, methods called, each device with its outcome', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const registry = registryClient(t, hub);
  const jobs = jobClient(t, hub);
  const devices = [];
  for (let i = 0; i < 5; ++i) devices.push(await hub.createDevice(`m-${i}`));
  for (const i of [0, 1, 2]) await registry.updateTwin(`m-${i}`, { tags: { line: 'a' } }, '*');

  await jobs.scheduleTwinUpdate('twins-1', "tags.line = 'a'", { etag: '*', properties: { desired: { rate: 7 } } }, new Date(), 60);
  const done = await finished(jobs, 'twins-1');
  assert.deepEqual([done.status, done.deviceJobStatistics.succeededCount, done.deviceJobStatistics.deviceCount], ['completed', 3, 3]);
  assert.equal((await hub.rest('GET', '/twins/m-1')).body.properties.desired.rate, 7);
  assert.equal((await hub.rest('GET', '/twins/m-4')).body.properties.desired.rate, undefined);

  const client = Client.fromConnectionString(devices[0].connectionString, Mqtt);
  t.after(() => client.close().catch(() => {}));
  await client.setOptions({ ca: hub.ca });
  await client.open();
  client.onDeviceMethod('reboot', (request, response) => response.send(200, { at: request.payload.at }, () => {}));
  await jobs.scheduleDeviceMethod('methods-1', "deviceId IN ['m-0', 'm-3']",
    { methodName: 'reboot', payload: { at: 5 }, responseTimeoutInSeconds: 30, connectTimeoutInSeconds: 5 }, new Date(), 60);
  const called = await finished(jobs, 'methods-1');
  assert.deepEqual([called.deviceJobStatistics.succeededCount, called.deviceJobStatistics.failedCount], [1, 1]);
  const rows = (await hub.rest('POST', '/devices/query', { query: "SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'methods-1'" })).body;
  const [well, badly] = rows;
  assert.deepEqual(well.outcome.deviceMethodResponse, { status: 200, payload: { at: 5 } });
  assert.equal(badly.error.code, 'DeviceNotOnline');

  await jobs.scheduleTwinUpdate('later', '*', { etag: '*', tags: { never: true } }, new Date(Date.now() + 3_600_000), 60);
  await jobs.cancelJob('later');
  assert.equal((await jobs.getJob('later')).jobStatus.status, 'cancelled');
});

test('a hub killed in the middle of a twin job updates every twin once', async (t) => {
  const dir = folder(t);
  let hub = await Hub.start(t, dir);
  const count = 400;
  for (let at = 0; at < count; at += 100) {
    const items = Array.from({ length: 100 }, (_, i) => ({ id: `d-${at + i}`, importMode: 'create', tags: { group: (at + i) % 2 } }));
    const made = await hub.rest('POST', '/devices', items);
    assert.equal(made.status, 200, JSON.stringify(made.body));
  }
  await hub.rest('PUT', '/jobs/v2/all', { type: 'scheduleUpdateTwin', queryCondition: '*', updateTwin: { properties: { desired: { rate: 1 } } } });
  let kills = 0;
  for (; kills < 4; ++kills) {
    await pause(5 + 15 * kills);
    await hub.service.kill();
    hub = await Hub.start(t, dir, hub.ready);
  }
  const job = await until('the job', async () => {
    const { body } = await hub.rest('GET', '/jobs/v2/all');
    return body.status === 'completed' && body;
  });
  assert.deepEqual(job.deviceJobStatistics, { deviceCount: count, failedCount: 0, succeededCount: count, runningCount: 0, pendingCount: 0 });
  const versions = await hub.rest('POST', '/devices/query', { query: 'SELECT properties.desired.$version AS v, COUNT() AS n FROM devices GROUP BY properties.desired.$version' });
  assert.deepEqual(versions.body, [{ v: 2, n: count }], 'each written once');
});
