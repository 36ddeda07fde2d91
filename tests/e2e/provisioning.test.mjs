// Provisioning with the unmodified SDKs: enrolments made by azure-iot-provisioning-service, devices registered over MQTT and HTTPS by
// keys of their own, keys derived from a group's, and certificates; what they get lets them in at the hub.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import deviceSdk from 'azure-iot-device';
import mqttSdk from 'azure-iot-device-mqtt';
import provisioningService from 'azure-iot-provisioning-service';
import { Hub, folder, run } from './harness.mjs';
import { agentOf } from './service-sdk.mjs';

after(() => setTimeout(() => process.exit(), 500).unref());

const { Client } = deviceSdk;
const { Mqtt } = mqttSdk;
const here = path.dirname(fileURLToPath(import.meta.url));

function provisioningClient(t, hub) {
  const client = provisioningService.ProvisioningServiceClient.fromConnectionString(hub.file.connectionString);
  const agent = agentOf(hub);
  t.after(() => agent.destroy());
  client._restApiClient.setOptions({ http: { agent } });
  return client;
}

/** In a process of its own: the provisioning transports take their trust from the process only (NODE_EXTRA_CA_CERTS). */
async function register(hub, settings) {
  const { idScope } = (await hub.rest('GET', '/provisioning')).body;
  const input = JSON.stringify({ idScope, port: settings.transport === 'http' ? hub.ready.https : hub.ready.mqtts, ...settings });
  return run(process.execPath, [path.join(here, 'register.mjs'), input], { env: { ...process.env, NODE_EXTRA_CA_CERTS: hub.ready.ca }, timeout: 60000 });
}

const derived = (key, id) => createHmac('sha256', Buffer.from(key, 'base64')).update(id).digest('base64');

async function reachesHub(t, hub, id, key) {
  const client = Client.fromConnectionString(`HostName=localhost;DeviceId=${id};SharedAccessKey=${key};GatewayHostName=localhost:${hub.ready.mqtts}`, Mqtt);
  t.after(() => client.close().catch(() => {}));
  await client.setOptions({ ca: hub.ca });
  await client.open();
  return (await client.getTwin()).properties.desired;
}

test('an individual enrolment by key, over MQTT', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const service = provisioningClient(t, hub);
  const made = await service.createOrUpdateIndividualEnrollment({
    registrationId: 'reg-1', deviceId: 'machine-1', attestation: { type: 'symmetricKey' }, provisioningStatus: 'enabled',
    initialTwin: { tags: { line: 'a' }, properties: { desired: { rate: 5 } } },
  });
  assert.equal((made.responseBody ?? made).attestation.symmetricKey.primaryKey, '', 'keys are not shown');
  const mechanism = await hub.rest('POST', '/enrollments/reg-1/attestationmechanism');
  const key = mechanism.body.symmetricKey.primaryKey;

  const answer = await register(hub, { transport: 'mqtt', registrationId: 'reg-1', key });
  assert.equal(answer.code, 0, answer.stderr);
  const state = JSON.parse(answer.stdout);
  assert.deepEqual([state.deviceId, state.assignedHub, state.status, state.substatus], ['machine-1', 'localhost', 'assigned', 'initialAssignment']);
  assert.equal((await reachesHub(t, hub, 'machine-1', key)).rate, 5);
  assert.equal((await hub.rest('GET', '/twins/machine-1')).body.tags.line, 'a');

  const refused = await register(hub, { transport: 'mqtt', registrationId: 'reg-1', key: Buffer.alloc(32, 7).toString('base64') });
  assert.notEqual(refused.code, 0);
  const stranger = await register(hub, { transport: 'mqtt', registrationId: 'reg-2', key });
  assert.notEqual(stranger.code, 0);
});

test('a group by derived keys, over MQTT and HTTPS; registering again keeps or resets the twin', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const service = provisioningClient(t, hub);
  await service.createOrUpdateEnrollmentGroup({
    enrollmentGroupId: 'line', attestation: { type: 'symmetricKey' }, provisioningStatus: 'enabled',
    initialTwin: { tags: {}, properties: { desired: { rate: 5 } } }, reprovisionPolicy: { updateHubAssignment: true, migrateDeviceData: true },
  });
  const groupKey = (await hub.rest('POST', '/enrollmentGroups/line/attestationmechanism')).body.symmetricKey.primaryKey;
  for (const [transport, id] of [['mqtt', 'm-1'], ['http', 'm-2']]) {
    const answer = await register(hub, { transport, registrationId: id, key: derived(groupKey, id) });
    assert.equal(answer.code, 0, answer.stderr);
    const state = JSON.parse(answer.stdout);
    assert.deepEqual([state.deviceId, state.status], [id, 'assigned']);
    assert.equal((await reachesHub(t, hub, id, derived(groupKey, id))).rate, 5);
  }
  await hub.rest('PATCH', '/twins/m-1', { properties: { desired: { rate: 9 } } });
  const again = await register(hub, { transport: 'mqtt', registrationId: 'm-1', key: derived(groupKey, 'm-1') });
  assert.equal(JSON.parse(again.stdout).substatus, 'deviceDataMigrated');
  assert.equal((await hub.rest('GET', '/twins/m-1')).body.properties.desired.rate, 9);

  const { body: group } = await hub.rest('GET', '/enrollmentGroups/line');
  await hub.rest('PUT', '/enrollmentGroups/line', { ...group, reprovisionPolicy: { updateHubAssignment: true, migrateDeviceData: false } });
  const reset = await register(hub, { transport: 'mqtt', registrationId: 'm-1', key: derived(groupKey, 'm-1') });
  assert.equal(JSON.parse(reset.stdout).substatus, 'deviceDataReset');
  assert.equal((await hub.rest('GET', '/twins/m-1')).body.properties.desired.rate, 5);

  const listed = await hub.rest('POST', '/registrations/line/query', { query: 'SELECT * FROM registrations' });
  assert.deepEqual(listed.body.map((one) => one.registrationId), ['m-1', 'm-2']);
  await service.deleteEnrollmentGroup('line');
  const gone = await register(hub, { transport: 'http', registrationId: 'm-3', key: derived(groupKey, 'm-3') });
  assert.notEqual(gone.code, 0);
});

function selfSigned(dir, name) {
  const [key, certificate] = ['key', 'pem'].map((ending) => path.join(dir, `${name}.${ending}`));
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-keyout', key, '-out', certificate], { stdio: 'ignore' });
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(certificate, 'utf8') };
}

test('an individual enrolment by certificate, over MQTT', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const mine = selfSigned(folder(t), 'x-1');
  const service = provisioningClient(t, hub);
  await service.createOrUpdateIndividualEnrollment({
    registrationId: 'x-1', attestation: { type: 'x509', x509: { clientCertificates: { primary: { certificate: mine.cert } } } }, provisioningStatus: 'enabled',
  });
  const answer = await register(hub, { transport: 'mqtt', registrationId: 'x-1', x509: mine });
  assert.equal(answer.code, 0, answer.stderr);
  assert.equal(JSON.parse(answer.stdout).status, 'assigned');
  assert.equal((await hub.rest('GET', '/devices/x-1')).body.authentication.type, 'selfSigned');
  const other = await register(hub, { transport: 'mqtt', registrationId: 'x-1', x509: selfSigned(folder(t), 'x-1') });
  assert.notEqual(other.code, 0, 'another certificate of the same name');
});
