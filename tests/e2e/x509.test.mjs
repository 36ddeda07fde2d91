// Devices with certificates: an authority made with openssl, uploaded and proved; its devices over MQTT, WebSocket and HTTPS with the
// unmodified SDKs, mosquitto and MQTT.js; registration by authority; revocation; the hub's own certificates.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import common from 'azure-iot-common';
import deviceSdk from 'azure-iot-device';
import amqpSdk from 'azure-iot-device-amqp';
import httpSdk from 'azure-iot-device-http';
import mqttSdk from 'azure-iot-device-mqtt';
import provisioningService from 'azure-iot-provisioning-service';
import mqtt from 'mqtt';
import { Hub, eventually, folder, run } from './harness.mjs';
import { agentOf } from './service-sdk.mjs';

after(() => setTimeout(() => process.exit(), 500).unref());

const { NoRetry } = common;
const { Client, Message } = deviceSdk;
const here = path.dirname(fileURLToPath(import.meta.url));
const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] });

/** A small authority of openssl's making, in a folder of its own. */
class Pki {
  constructor(t, name) {
    this.dir = folder(t);
    this.root = this.file('root.pem');
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30', '-subj', `/CN=${name}`,
      '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign', '-keyout', this.file('root.key'), '-out', this.root);
    this.line = this.sign('Line', 'root', 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n', 'line');
  }
  file(name) { return path.join(this.dir, name); }
  sign(commonName, issuer, extensions, name = commonName) {
    writeFileSync(this.file('extensions'), extensions);
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${commonName}`, '-keyout', this.file(`${name}.key`), '-out', this.file('request'));
    openssl('x509', '-req', '-in', this.file('request'), '-CA', this.file(`${issuer}.pem`), '-CAkey', this.file(`${issuer}.key`),
      '-CAcreateserial', '-days', '20', '-extfile', this.file('extensions'), '-out', this.file(`${name}.pem`));
    return readFileSync(this.file(`${name}.pem`), 'utf8');
  }
  /** A device's certificate, below root -> Line, with its chain as the device sends it. */
  device(id, issuer = 'line') {
    const leaf = this.sign(id, issuer, 'basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n');
    const chain = this.file(`${id}.chain.pem`);
    writeFileSync(chain, issuer === 'line' ? leaf + this.line : leaf);
    return { id, chain, keyFile: this.file(`${id}.key`), cert: readFileSync(chain, 'utf8'), key: readFileSync(this.file(`${id}.key`), 'utf8') };
  }
}

const nacelle = (hub, ...args) => run('nacelle', [...args, '--hub', hub.dir]);

async function upload(hub, pki, name = 'plant') {
  const added = await nacelle(hub, 'certs', 'authorities', 'add', name, '--file', pki.root, '--json');
  assert.equal(added.code, 0, added.stderr);
  return JSON.parse(added.stdout).properties.verificationCode;
}

async function trust(hub, pki, name = 'plant') {
  const code = await upload(hub, pki, name);
  pki.sign(code, 'root', 'basicConstraints=CA:FALSE\n', 'proof');
  const verified = await nacelle(hub, 'certs', 'authorities', 'verify', name, '--proof', pki.file('proof.pem'));
  assert.equal(verified.code, 0, verified.stderr);
}

const createByAuthority = (hub, id) => nacelle(hub, 'devices', 'create', id, '--by-authority');

/** With a certificate the SDK leaves GatewayHostName aside: the port stands in HostName (wire facts 8). */
async function connect(t, hub, device, transport = mqttSdk.Mqtt) {
  const port = transport === mqttSdk.Mqtt ? hub.ready.mqtts : hub.ready.amqps;
  const client = Client.fromConnectionString(`HostName=localhost:${port};DeviceId=${device.id};x509=true`, transport);
  t.after(() => client.close().catch(() => {}));
  client.on('error', () => {});
  await client.setOptions({ ca: hub.ca, cert: device.cert, key: device.key });
  await client.open();
  return client;
}

const publish = (hub, device, extra = []) =>
  run('/usr/bin/mosquitto_pub', ['-h', 'localhost', '-p', String(hub.ready.mqtts), '--cafile', hub.ready.ca, '--cert', device.chain, '--key', device.keyFile,
    '-i', device.id, '-u', `localhost/${device.id}/?api-version=2021-04-12`, '-V', 'mqttv311', '-q', '1',
    '-t', `devices/${device.id}/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8`, '-m', '{"OperationalSetting1":0.5,"CycleTime":1}', ...extra]);

test('the Node SDK with x509=true and a chain over an intermediate: telemetry, twin, and only once possession is proved', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const pki = new Pki(t, 'Plant root');
  const press = pki.device('press-7');
  const made = await createByAuthority(hub, 'press-7');
  assert.equal(made.code, 0, made.stderr);
  await assert.rejects(connect(t, hub, press), 'no authority yet');
  await upload(hub, pki);
  await assert.rejects(connect(t, hub, press), 'not verified');
  assert.equal((await nacelle(hub, 'certs', 'authorities', 'delete', 'plant')).code, 0);
  await trust(hub, pki);
  const client = await connect(t, hub, press);
  const message = new Message('{"OperationalSetting1":0.5,"CycleTime":1}');
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  await client.sendEvent(message);
  const twin = await client.getTwin();
  await new Promise((resolve, reject) => twin.properties.reported.update({ speed: 3 }, (error) => (error ? reject(error) : resolve())));
  const [record] = await hub.captured('devicedata');
  assert.deepEqual(JSON.parse(record.SystemProperties.connectionAuthMethod).type, 'x509');
  const shown = (await hub.rest('GET', '/twins/press-7')).body;
  assert.deepEqual([shown.authenticationType, shown.properties.reported.speed], ['certificateAuthority', 3]);
  const text = await nacelle(hub, 'devices', 'connection-string', 'press-7');
  assert.equal(text.stdout.trim(), 'HostName=localhost;DeviceId=press-7;x509=true');
});

test('over AMQP a certificate opens its own device\'s links; they end with the authority', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const pki = new Pki(t, 'Plant root');
  await trust(hub, pki);
  await createByAuthority(hub, 'press-7');
  const client = await connect(t, hub, pki.device('press-7'), amqpSdk.Amqp);
  client.setRetryPolicy(new NoRetry());
  const message = new Message('{"OperationalSetting1":0.5,"CycleTime":1}');
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  await client.sendEvent(message);
  const [record] = await hub.captured('devicedata');
  assert.equal(JSON.parse(record.SystemProperties.connectionAuthMethod).type, 'x509');
  const unauthorized = (error) => error.name === 'UnauthorizedError';
  const stranger = await connect(t, hub, { ...pki.device('press-8'), id: 'press-7' }, amqpSdk.Amqp);
  stranger.setRetryPolicy(new NoRetry());
  await assert.rejects(stranger.sendEvent(message), unauthorized, 'the certificate of another');

  assert.equal((await nacelle(hub, 'certs', 'authorities', 'delete', 'plant')).code, 0);
  await eventually(async () => (await hub.rest('GET', '/devices/press-7')).body.connectionState === 'Disconnected');
  await assert.rejects(client.sendEvent(message), unauthorized);
});

test('another name, an unknown authority of the same name and a lone leaf are refused', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const pki = new Pki(t, 'Plant root');
  await trust(hub, pki);
  await createByAuthority(hub, 'press-7');
  const press = pki.device('press-7');
  const alone = { ...press, cert: readFileSync(pki.file('press-7.pem'), 'utf8') };
  await assert.rejects(connect(t, hub, alone), 'without its intermediate');
  await assert.rejects(connect(t, hub, { ...pki.device('press-8'), id: 'press-7' }), 'the certificate of another');
  await assert.rejects(connect(t, hub, new Pki(t, 'Plant root').device('press-7')), 'a stranger');
  await connect(t, hub, press);
});

test('mosquitto_pub with --cert and --key; kill -9 keeps the authority', async (t) => {
  const dir = folder(t);
  const hub = await Hub.start(t, dir);
  const pki = new Pki(t, 'Plant root');
  await trust(hub, pki);
  await createByAuthority(hub, 'pump-1');
  const pump = pki.device('pump-1');
  const sent = await publish(hub, pump);
  assert.equal(sent.code, 0, sent.stderr);
  await hub.service.kill('SIGKILL');
  const again = await Hub.start(t, dir);
  assert.equal((await publish(again, pump)).code, 0);
  assert.equal((await again.captured('devicedata')).length, 2);
  assert.notEqual((await publish(again, { ...pump, ...new Pki(t, 'Plant root').device('pump-1') })).code, 0);
});

test('MQTT over WebSocket and telemetry over HTTPS with a client certificate, a resumed TLS session too', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const pki = new Pki(t, 'Plant root');
  await trust(hub, pki);
  await createByAuthority(hub, 'press-7');
  const press = pki.device('press-7');
  const socket = await mqtt.connectAsync(`wss://localhost:${hub.ready.https}/$iothub/websocket`, {
    protocolVersion: 4, clientId: 'press-7', username: 'localhost/press-7/?api-version=2021-04-12', ca: hub.ca, cert: press.cert, key: press.key,
    wsOptions: { ca: hub.ca, cert: press.cert, key: press.key }, reconnectPeriod: 0 });
  await socket.publishAsync('devices/press-7/messages/events/', '{}', { qos: 1 });
  await socket.endAsync();

  // One connection a call: the agent offers the session of the call before.
  const agent = new https.Agent({ keepAlive: false });
  t.after(() => agent.destroy());
  const post = (id) => new Promise((resolve, reject) => {
    const request = https.request({ host: 'localhost', port: hub.ready.https, method: 'POST', path: `/devices/${id}/messages/events?api-version=2020-03-13`, agent, ca: hub.ca, cert: press.cert, key: press.key },
      (response) => response.resume().on('end', () => resolve(response.statusCode)));
    request.on('error', reject);
    request.end('{}');
  });
  for (let i = 0; i < 3; ++i) assert.equal(await post('press-7'), 204);
  assert.equal(await post('press-8'), 401);

  const client = Client.fromConnectionString('HostName=localhost;DeviceId=press-7;x509=true', httpSdk.Http);
  const directed = agentOf(hub);
  t.after(() => directed.destroy());
  // With an agent among the options the SDK never says that it is done; without `ca`, which it would look for in a file first
  // (the agent has it), they take effect at once.
  client.setOptions({ cert: press.cert, key: press.key, http: { agent: directed } });
  await client.sendEvent(new Message('{}'));
  assert.equal((await hub.rest('GET', '/statistics/messages')).body.acked, 5);
});

test('deleting the authority ends its devices\' connections, and lets nobody in again', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const [plant, other] = [new Pki(t, 'Plant root'), new Pki(t, 'Other root')];
  await trust(hub, plant, 'plant');
  await trust(hub, other, 'other');
  for (const id of ['press-7', 'drill-1']) await createByAuthority(hub, id);
  const press = plant.device('press-7');
  const options = (device) => ({ protocolVersion: 4, clientId: device.id, username: `localhost/${device.id}/?api-version=2021-04-12`, ca: hub.ca, cert: device.cert, key: device.key, reconnectPeriod: 0 });
  const url = `mqtts://localhost:${hub.ready.mqtts}`;
  const gone = await mqtt.connectAsync(url, options(press));
  const stays = await mqtt.connectAsync(url, options(other.device('drill-1')));
  const closed = once(gone, 'close');
  assert.equal((await nacelle(hub, 'certs', 'authorities', 'delete', 'plant')).code, 0);
  await closed;
  await stays.publishAsync('devices/drill-1/messages/events/', '{}', { qos: 1 });
  await stays.endAsync();
  await assert.rejects(mqtt.connectAsync(url, options(press)));
});

test('a self-signed certificate by its SHA-1 thumbprint, in capitals, in the second slot', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const own = new Pki(t, 'pump-1');
  const thumbprint = openssl('x509', '-in', own.root, '-noout', '-fingerprint', '-sha1').toString().split('=')[1].trim().replaceAll(':', '');
  assert.match(thumbprint, /^[0-9A-F]{40}$/);
  const made = await hub.rest('PUT', '/devices/pump-1', { deviceId: 'pump-1', authentication: { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: '0'.repeat(64), secondaryThumbprint: thumbprint } } });
  assert.equal(made.status, 200);
  const device = { id: 'pump-1', cert: readFileSync(own.root, 'utf8'), key: readFileSync(own.file('root.key'), 'utf8') };
  await (await connect(t, hub, device)).sendEvent(new Message('{}'));
  await assert.rejects(connect(t, hub, { id: 'pump-1', ...new Pki(t, 'pump-1').device('pump-1') }));
});

async function register(hub, settings) {
  const { idScope } = (await hub.rest('GET', '/provisioning')).body;
  const input = JSON.stringify({ idScope, port: settings.transport === 'http' ? hub.ready.https : hub.ready.mqtts, ...settings });
  return run(process.execPath, [path.join(here, 'register.mjs'), input], { env: { ...process.env, NODE_EXTRA_CA_CERTS: hub.ready.ca }, timeout: 60000 });
}

test('an enrolment group by its signing certificate and one by an uploaded authority, with the SDKs', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const [plant, supplier] = [new Pki(t, 'Plant root'), new Pki(t, 'Supplier root')];
  await trust(hub, plant);
  const service = provisioningService.ProvisioningServiceClient.fromConnectionString(hub.file.connectionString);
  const agent = agentOf(hub);
  t.after(() => agent.destroy());
  service._restApiClient.setOptions({ http: { agent } });
  const group = (enrollmentGroupId, x509) => service.createOrUpdateEnrollmentGroup({ enrollmentGroupId, provisioningStatus: 'enabled',
    attestation: { type: 'x509', x509 }, initialTwin: { tags: {}, properties: { desired: { rate: 5 } } } });
  await group('supplied', { signingCertificates: { primary: { certificate: readFileSync(supplier.root, 'utf8') } } });
  await group('referred', { caReferences: { primary: 'plant' } });
  await assert.rejects(group('wrong', { caReferences: { primary: 'nobody' } }));

  for (const [pki, id, transport, type] of [[supplier, 'm-1', 'mqtt', 'selfSigned'], [supplier, 'm-2', 'http', 'selfSigned'], [plant, 'm-3', 'mqtt', 'certificateAuthority'], [plant, 'm-4', 'http', 'certificateAuthority']]) {
    const device = pki.device(id);
    const answer = await register(hub, { transport, registrationId: id, x509: { cert: device.cert, key: device.key } });
    assert.equal(answer.code, 0, answer.stderr);
    assert.deepEqual([JSON.parse(answer.stdout).deviceId, JSON.parse(answer.stdout).status], [id, 'assigned']);
    assert.equal((await hub.rest('GET', `/devices/${id}`)).body.authentication.type, type);
    const client = await connect(t, hub, device);
    assert.equal((await client.getTwin()).properties.desired.rate, 5);
  }
  await connect(t, hub, plant.device('m-3', 'root'));  // a renewed certificate of the same authority
  const stranger = new Pki(t, 'Plant root').device('m-5');
  assert.notEqual((await register(hub, { transport: 'mqtt', registrationId: 'm-5', x509: { cert: stranger.cert, key: stranger.key } })).code, 0);
  const another = plant.device('m-6');
  assert.notEqual((await register(hub, { transport: 'mqtt', registrationId: 'm-7', x509: { cert: another.cert, key: another.key } })).code, 0);
});

function served(port, ca) {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: 'localhost', port, ca, servername: 'localhost' }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

test('nacelle certs: show, issue, inspect, rotate; keys stay in their files', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const out = folder(t);
  const shown = JSON.parse((await nacelle(hub, 'certs', 'show', '--json')).stdout);
  assert.deepEqual(Object.keys(shown), ['root', 'intermediate', 'devices', 'server']);
  assert.match((await nacelle(hub, 'certs', 'show')).stdout, /server +CN=localhost/);

  for (const [purpose, name, stem] of [['device', 'press-7', 'press-7'], ['edge', 'edge-1', 'edge-1-ca'], ['server', 'score.example', 'score.example']]) {
    const issued = await nacelle(hub, 'certs', 'issue', purpose, name, '--out', out, '--json');
    assert.equal(issued.code, 0, issued.stderr);
    const [chain, key] = ['pem', 'key'].map((ending) => path.join(out, `${stem}.${ending}`));
    assert.deepEqual([JSON.parse(issued.stdout).certificate, JSON.parse(issued.stdout).privateKey], [chain, key]);
    assert.equal(statSync(key).mode & 0o777, 0o600);
    assert.doesNotMatch(issued.stdout + issued.stderr, /PRIVATE/);
    assert.match(openssl('verify', '-CAfile', hub.ready.ca, '-untrusted', chain, chain).toString(), /OK/);
    assert.equal((await nacelle(hub, 'certs', 'issue', purpose, name, '--out', out)).code, 1, 'a file is not written over');
    const facts = JSON.parse((await run('nacelle', ['certs', 'inspect', chain, '--json'])).stdout);
    assert.equal(facts.length, 2);
    assert.equal(facts[0].authority, purpose === 'edge');
  }
  assert.equal((await run('nacelle', ['certs', 'inspect', path.join(out, 'press-7.pem'), '--within', '400'])).code, 1);
  assert.equal((await run('nacelle', ['certs', 'inspect', path.join(out, 'press-7.key')])).code, 2);
  assert.equal((await run('nacelle', ['certs', 'inspect', path.join(out, 'nothing')])).code, 2);

  const mine = path.join(out, 'press-8.key');
  const csr = path.join(out, 'press-8.csr');
  openssl('req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', mine, '-subj', '/CN=press-8', '-out', csr);
  const signed = await nacelle(hub, 'certs', 'issue', 'device', 'press-8', '--csr', csr, '--out', out, '--json');
  assert.equal(signed.code, 0, signed.stderr);
  assert.equal(JSON.parse(signed.stdout).privateKey, undefined, 'the key stays where it is');
  assert.equal((await nacelle(hub, 'certs', 'issue', 'device', 'press-9', '--csr', csr, '--out', out)).code, 2, 'it is for another');
  await createByAuthority(hub, 'press-8');
  await connect(t, hub, { id: 'press-8', cert: readFileSync(path.join(out, 'press-8.pem'), 'utf8'), key: readFileSync(mine, 'utf8') });

  await createByAuthority(hub, 'press-7');
  const device = { id: 'press-7', cert: readFileSync(path.join(out, 'press-7.pem'), 'utf8'), key: readFileSync(path.join(out, 'press-7.key'), 'utf8') };
  const client = await connect(t, hub, device);
  const before = await served(hub.ready.mqtts, hub.ca);
  const rotated = await nacelle(hub, 'certs', 'rotate', '--json');
  assert.equal(rotated.code, 0, rotated.stderr);
  const now = await served(hub.ready.mqtts, hub.ca);
  assert.notEqual(now, before);
  assert.equal(now.replaceAll(':', '').toLowerCase(), JSON.parse(rotated.stdout).server.sha256Thumbprint);
  assert.equal(await served(hub.ready.https, hub.ca), now);
  await client.sendEvent(new Message('{}'));  // on the connection of before
});

test('nacelle certs authorities: with the key at hand; and what is wrong is said, with exit code 2', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const pki = new Pki(t, 'Plant root');
  await upload(hub, pki);
  assert.match((await nacelle(hub, 'certs', 'authorities', 'list')).stdout, /plant +Plant root .*not verified/);
  const wrong = await nacelle(hub, 'certs', 'authorities', 'verify', 'plant', '--key', new Pki(t, 'Plant root').file('root.key'));
  assert.equal(wrong.code, 2);
  const done = await nacelle(hub, 'certs', 'authorities', 'verify', 'plant', '--key', pki.file('root.key'));
  assert.equal(done.code, 0, done.stderr);
  assert.equal(JSON.parse((await nacelle(hub, 'certs', 'authorities', 'list', '--json')).stdout)[0].properties.isVerified, true);
  const leaf = pki.device('press-7');
  for (const args of [['add', 'x', '--file', leaf.keyFile], ['add', 'x', '--file', pki.file('press-7.pem')], ['verify', 'plant'], ['verify', 'nobody', '--proof', pki.root], ['delete', 'nobody'], ['add', 'x']])
    assert.equal((await nacelle(hub, 'certs', 'authorities', ...args)).code, 2, args.join(' '));
  assert.equal((await nacelle(hub, 'certs', 'authorities', 'add', 'plant', '--file', pki.root)).code, 1, 'it is there');
  for (const command of [[], ['show'], ['issue'], ['issue', 'device'], ['inspect'], ['rotate'], ['authorities'], ['authorities', 'add'], ['authorities', 'verify']])
    assert.match((await run('nacelle', ['certs', ...command, '--help'])).stdout, /Example:/, command.join(' '));
});
