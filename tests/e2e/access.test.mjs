// Policies, keys, uploads and the whole registry, driven by the unmodified SDKs and the command line.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, test } from 'node:test';
import deviceSdk from 'azure-iot-device';
import mqttSdk from 'azure-iot-device-mqtt';
import { Hub, folder, run } from './harness.mjs';
import { registryClient } from './service-sdk.mjs';

after(() => setTimeout(() => process.exit(), 500).unref());

const { Client } = deviceSdk;
const { Mqtt } = mqttSdk;

async function nacelle(hub, args) {
  const answer = await run('nacelle', [...args, '--hub', hub.dir]);
  assert.equal(answer.code, 0, `nacelle ${args.join(' ')}: ${answer.stderr}`);
  return answer.stdout;
}
const line = async (hub, args) => JSON.parse(await nacelle(hub, [...args, '--json']));

async function connected(t, hub, connectionString) {
  const client = Client.fromConnectionString(connectionString, Mqtt);
  client.setRetryPolicy(new (await import('azure-iot-common')).default.NoRetry());
  t.after(() => client.close().catch(() => {}));
  await client.setOptions({ ca: hub.ca });
  await client.open();
  return client;
}

test('a policy of ones own lets azure-iothub do what it says, until its key, its rights or itself go', async (t) => {
  const hub = await Hub.start(t, folder(t));
  await hub.createDevice('d1');
  assert.deepEqual(await line(hub, ['policies', 'create', 'line-a', '--rights', 'RegistryRead,ServiceConnect']), { name: 'line-a', rights: ['RegistryRead', 'ServiceConnect'] });
  const { connectionString } = await line(hub, ['policies', 'connection-string', 'line-a']);
  const registry = registryClient(t, hub, connectionString);
  assert.equal((await registry.get('d1')).responseBody.deviceId, 'd1');
  await assert.rejects(registry.delete('d1'), /[Uu]nauthorized/);
  await nacelle(hub, ['policies', 'regenerate-key', 'line-a', '--key', 'primary']);
  await assert.rejects(registry.get('d1'), /[Uu]nauthorized/);
  const renewed = registryClient(t, hub, (await line(hub, ['policies', 'connection-string', 'line-a'])).connectionString);
  assert.equal((await renewed.get('d1')).responseBody.deviceId, 'd1');
  await nacelle(hub, ['policies', 'update', 'line-a', '--rights', 'ServiceConnect']);
  await assert.rejects(renewed.get('d1'), /[Uu]nauthorized/);
  await nacelle(hub, ['policies', 'delete', 'line-a']);
  assert.ok(!(await nacelle(hub, ['policies', 'list'])).includes('line-a'));
  const refused = await run('nacelle', ['policies', 'delete', 'iothubowner', '--hub', hub.dir]);
  assert.notEqual(refused.code, 0);
  assert.doesNotMatch(hub.service.log, /sig=|SharedAccessKey/);
  assert.match(hub.service.log, /refused DELETE \/devices\/d1 .* as policy line-a: the caller has no right/);
});

test('the owners key can be changed: the command line goes on with the new one', async (t) => {
  const hub = await Hub.start(t, folder(t));
  await nacelle(hub, ['policies', 'regenerate-key', 'iothubowner', '--key', 'primary']);
  await nacelle(hub, ['devices', 'create', 'd1']);
  assert.equal((await hub.rest('GET', '/devices/d1')).status, 401, 'the old key');
});

test('a regenerated key ends the device SDKs connection that was made with it, and no other', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('d1');
  const client = await connected(t, hub, device.connectionString);
  let ended = false;
  client.on('disconnect', () => { ended = true; });
  await nacelle(hub, ['devices', 'regenerate-key', 'd1', '--key', 'secondary']);
  await client.sendEvent(new deviceSdk.Message('still here'));
  assert.equal(ended, false);
  const gone = once(client, 'disconnect');
  await nacelle(hub, ['devices', 'regenerate-key', 'd1', '--key', 'primary']);
  await gone;
  const { connectionString } = await line(hub, ['devices', 'connection-string', 'd1']);
  await connected(t, hub, `${connectionString};GatewayHostName=localhost:${hub.ready.mqtts}`);
});

test('modules, methods and messages from the command line', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const device = await hub.createDevice('d1');
  await nacelle(hub, ['modules', 'create', 'd1', 'filter']);
  assert.deepEqual((await line(hub, ['modules', 'list', 'd1'])).map((module) => module.moduleId), ['filter']);
  assert.match(await nacelle(hub, ['modules', 'connection-string', 'd1', 'filter']), /ModuleId=filter/);
  await nacelle(hub, ['modules', 'regenerate-key', 'd1', 'filter', '--key', 'swap']);
  await nacelle(hub, ['modules', 'delete', 'd1', 'filter']);

  const offline = await run('nacelle', ['methods', 'call', 'd1', 'reboot', '--hub', hub.dir]);
  assert.equal(offline.code, 1, offline.stderr);
  const client = await connected(t, hub, device.connectionString);
  client.onDeviceMethod('reboot', (request, response) => response.send(request.payload.fail ? 500 : 200, { after: request.payload.delay }));
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.deepEqual(await line(hub, ['methods', 'call', 'd1', 'reboot', '--payload', '{"delay":5}', '--connect-timeout', '5']), { status: 200, payload: { after: 5 } });
  const failed = await run('nacelle', ['methods', 'call', 'd1', 'reboot', '--payload', '{"fail":true}', '--hub', hub.dir]);
  assert.equal(failed.code, 1);
  assert.match(failed.stdout, /^500 /);

  const received = once(client, 'message');
  const sent = await line(hub, ['messages', 'send', 'd1', 'stop', '--message-id', 'm1', '--ack', 'full', '--property', 'level=high']);
  assert.equal(sent.messageId, 'm1');
  const [message] = await received;
  assert.equal(message.properties.getValue('level'), 'high');
  await client.complete(message);
  let feedback = '';
  while (feedback === '') feedback = await nacelle(hub, ['messages', 'receive-feedback', '--json']);
  assert.equal(JSON.parse(feedback).originalMessageId, 'm1');
  assert.equal(await nacelle(hub, ['messages', 'receive-feedback', '--json']), '', 'completed once shown');
  await hub.createDevice('d2');
  await nacelle(hub, ['messages', 'send', 'd2', 'one']);
  assert.equal((await line(hub, ['messages', 'purge', 'd2'])).totalMessagesPurged, 1);
});

test('a file that azure-iot-device uploads is told of, listed and deleted; a kill loses no notification', async (t) => {
  const dir = folder(t);
  let hub = await Hub.start(t, dir, {}, ['--device-upload-quota', '12MB']);
  const device = await hub.createDevice('d1');
  const connectionString = `HostName=localhost;DeviceId=d1;SharedAccessKey=${device.key}`;
  const upload = (name, bytes) => run(process.execPath, [fileURLToPath(new URL('upload.mjs', import.meta.url)), JSON.stringify({ connectionString, port: hub.ready.https, name, bytes })],
    { env: { ...process.env, NODE_EXTRA_CA_CERTS: hub.ready.ca } });
  const uploaded = await upload('logs/today.txt', 9_000_000);
  assert.equal(uploaded.code, 0, uploaded.stderr);
  await hub.service.kill('SIGKILL');
  hub = await Hub.start(t, dir, hub.ready, ['--device-upload-quota', '12MB']);
  const [told] = (await nacelle(hub, ['files', 'notifications', '--json'])).trim().split('\n').map((text) => JSON.parse(text));
  assert.equal(told.deviceId, 'd1');
  assert.equal(told.blobName, 'd1/logs/today.txt');
  assert.equal(told.blobSizeInBytes, 9_000_000);
  assert.match(told.blobUri, /^https:\/\/localhost:\d+\/uploads\/d1\/logs\/today\.txt$/);
  assert.equal(await nacelle(hub, ['files', 'notifications', '--json']), '');
  assert.deepEqual((await line(hub, ['files', 'list', '--device', 'd1'])).map((file) => [file.blobName, file.blobSizeInBytes]), [['d1/logs/today.txt', 9_000_000]]);
  assert.notEqual((await upload('more.txt', 4_000_000)).code, 0, 'above the quota');
  await nacelle(hub, ['files', 'delete', 'd1/logs/today.txt']);
  const fits = await upload('more.txt', 4_000_000);
  assert.equal(fits.code, 0, fits.stderr);
});

test('azure-iothub exports the registry into a container of the hub and imports it into another', async (t) => {
  const dir = folder(t);
  const one = await Hub.start(t, path.join(dir, 'one'));
  const two = await Hub.start(t, path.join(dir, 'two'));
  for (const id of ['a', 'b']) await one.createDevice(id);
  await one.rest('PATCH', '/twins/a', { tags: { line: 'x' } });
  const container = async (hub, name) => (await hub.rest('POST', `/containers/${name}`)).body.containerUri;
  const done = async (registry, job) => {
    for (;;) {
      const state = await registry.getJob(job.jobId);
      if (!['enqueued', 'running'].includes(state.status)) return state;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const exported = await container(one, 'fleet');
  const from = registryClient(t, one);
  const exporting = await done(from, await from.exportDevicesToBlob(exported, false));
  assert.deepEqual([exporting.type, exporting.status, exporting.progress], ['export', 'completed', 100]);
  const blob = (uri, name) => { const url = new URL(uri); return `${url.pathname}/${name}${url.search}`; };
  const lines = (await one.rest('GET', blob(exported, 'devices.txt'))).body;
  assert.deepEqual(lines.trim().split('\n').map((text) => JSON.parse(text).id), ['a', 'b']);
  assert.equal((await one.rest('GET', blob(exported, 'devices.txt').replace('/fleet/', '/other/'))).status, 403);

  const input = await container(two, 'input');
  const output = await container(two, 'output');
  const put = await two.rest('PUT', blob(input, 'devices.txt'), `${lines}{"id":"c","importMode":"sing"}\n`, { 'x-ms-blob-type': 'BlockBlob' });
  assert.equal(put.status, 201);
  const to = registryClient(t, two);
  const importing = await done(to, await to.importDevicesFromBlob(input, output));
  assert.equal(importing.status, 'completed');
  const errors = (await two.rest('GET', blob(output, 'importErrors.log'))).body.trim().split('\n').map((text) => JSON.parse(text));
  assert.deepEqual(errors.map((error) => [error.line, error.deviceId]), [[3, 'c']]);
  const key = async (hub) => (await hub.rest('GET', '/devices/a')).body.authentication.symmetricKey.primaryKey;
  assert.equal(await key(two), await key(one));
  assert.equal((await two.rest('GET', '/twins/a')).body.tags.line, 'x');
  assert.equal((await to.listJobs()).responseBody.length, 1);
  await assert.rejects(to.importDevicesFromBlob(exported, output), 'a container of another hub');
  await assert.rejects(to.cancelJob('nothing'));
});

test('nacelle check finds nothing wrong with a sound hub, running or stopped, and says what is wrong with another', async (t) => {
  const dir = folder(t);
  const hub = await Hub.start(t, dir);
  const check = async () => {
    const answer = await run('nacelle', ['check', '--json', '--hub', dir]);
    const { running, findings } = JSON.parse(answer.stdout);
    return { code: answer.code, running, problems: findings.filter((one) => one.state === 'problem') };
  };
  assert.deepEqual(await check(), { code: 0, running: true, problems: [] });
  chmodSync(path.join(dir, 'certs/server.key'), 0o644);
  const open = await check();
  assert.equal(open.code, 1);
  assert.match(open.problems[0].mend, /chmod 600 .*server\.key/);
  chmodSync(path.join(dir, 'certs/server.key'), 0o600);
  await hub.service.kill('SIGTERM');
  assert.deepEqual(await check(), { code: 0, running: false, problems: [] });
  assert.equal((await run('nacelle', ['check', '--hub', path.join(dir, 'nothing')])).code, 1);
  assert.ok(!(await run('nacelle', ['check', '--hub', dir])).stdout.includes(JSON.parse(readFileSync(path.join(dir, 'hub.json'))).connectionString));
});
