// Starts the product's own programs for a test, on free ports and in a folder of the test's own, and ends them by their id.

import assert from 'node:assert/strict';
import { spawn, execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, readdirSync, statSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import avro from 'avsc';

const here = path.dirname(fileURLToPath(import.meta.url));
export const bin = process.env.NACELLE_BIN ?? path.join(here, '../../build/bin');
export const program = (name) => path.join(bin, name);

/** A folder that is gone when the test (`t`, of node:test) ends. Short, since unix sockets may lie below it. */
export function folder(t) {
  const dir = mkdtempSync(path.join(tmpdir(), 'nac-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Runs a program to its end: `{code, stdout, stderr}`; never rejects. */
export async function run(name, args, options = {}) {
  const file = name.includes('/') ? name : program(name);
  try {
    const { stdout, stderr } = await promisify(execFile)(file, args, { maxBuffer: 1 << 28, ...options });
    return { code: 0, stdout, stderr };
  } catch (error) {
    return { code: error.code ?? error.signal, stdout: error.stdout ?? '', stderr: error.stderr ?? String(error) };
  }
}

/** A program that prints a ready line of JSON; `.ready` holds it. */
export class Service {
  static async start(t, args, env = {}) {
    const service = new Service();
    service.child = spawn(program('nacelle'), args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    service.log = '';
    service.child.stderr.on('data', (text) => { service.log += text; });
    service.ended = new Promise((resolve) => service.child.once('exit', (code, signal) => resolve({ code, signal })));
    t.after(() => service.kill());
    const lines = createInterface({ input: service.child.stdout });
    const first = new Promise((resolve) => lines.once('line', resolve));
    const line = await Promise.race([first, service.ended.then(() => null)]);
    if (line === null) throw new Error(`nacelle ${args[0]} ended before it was ready:\n${service.log}`);
    service.ready = JSON.parse(line);
    return service;
  }
  async kill(signal = 'SIGKILL') {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    return this.ended;
  }
}

export class Hub {
  /** `ports`: those of an earlier run of the same folder, so that clients find it again. */
  static async start(t, dir, ports = {}, flags = []) {
    const hub = new Hub();
    hub.dir = dir;
    const port = (name) => ['--' + name, String(ports[name] ?? 0)];
    hub.service = await Service.start(t, ['hub', '--data', dir, '--host', 'localhost', ...port('mqtts'), ...port('amqps'), ...port('https'), ...port('metrics'), ...port('mqtt'), ...flags]);
    hub.ready = hub.service.ready;
    hub.file = JSON.parse(readFileSync(path.join(dir, 'hub.json'), 'utf8'));
    hub.ca = readFileSync(hub.ready.ca, 'utf8');
    hub.parts = connectionParts(hub.file.connectionString);
    return hub;
  }

  token() {
    return sas(this.parts.HostName, this.parts.SharedAccessKey, this.parts.SharedAccessKeyName);
  }

  /** What a device signs its own HTTPS calls with; `document` as the registry gives it. */
  deviceToken(id, document) {
    return sas(`localhost%2Fdevices%2F${encodeURIComponent(id)}`, document.authentication.symmetricKey.primaryKey);
  }

  /** One REST call: `{status, headers, body}` with the body parsed if it is JSON. */
  rest(method, target, body, headers = {}) {
    const text = body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const request = https.request({
        host: 'localhost', port: this.ready.https, path: target, method, ca: this.ca,
        headers: { Authorization: this.token(), ...(text === undefined ? {} : { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': Buffer.byteLength(text) }), ...headers },
      }, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () => {
          const raw = Buffer.concat(chunks);
          const json = (response.headers['content-type'] ?? '').includes('application/json') && raw.length > 0;
          resolve({ status: response.statusCode, headers: response.headers, body: json ? JSON.parse(raw.toString()) : raw.toString() });
        });
      });
      request.on('error', reject);
      request.end(text);
    });
  }

  async createDevice(id, document = {}) {
    const made = await this.rest('PUT', `/devices/${encodeURIComponent(id)}?api-version=2021-04-12`, { deviceId: id, ...document });
    if (made.status !== 200) throw new Error(`creating ${id}: ${made.status} ${JSON.stringify(made.body)}`);
    const key = made.body.authentication.symmetricKey.primaryKey;
    return {
      id, key, document: made.body,
      connectionString: `HostName=localhost;DeviceId=${id};SharedAccessKey=${key};GatewayHostName=localhost:${this.ready.mqtts}`,
      userName: `localhost/${id}/?api-version=2021-04-12`,
      password: sas(`localhost%2Fdevices%2F${encodeURIComponent(id)}`, key),
    };
  }

  /** Closes the open capture files, then reads them all with avsc, an independent reader. */
  async captured(container = '') {
    const flushed = await this.rest('POST', '/capture/flush');
    if (flushed.status >= 300) throw new Error(`flushing the capture: ${flushed.status} ${JSON.stringify(flushed.body)}`);
    return readAvroFolder(path.join(this.dir, 'objects/capture', container));
  }
}

export function connectionParts(text) {
  return Object.fromEntries(text.split(';').map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]));
}

/** A shared access signature over `resource` as it stands; `expiry` in Unix seconds. */
export function sas(resource, key, policy, expiry = Math.floor(Date.now() / 1000) + 3600) {
  const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(`${resource}\n${expiry}`).digest('base64');
  return `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expiry}` + (policy ? `&skn=${policy}` : '');
}

function* filesBelow(dir) {
  let names;
  try { names = readdirSync(dir); } catch { return; }
  for (const name of names.sort()) {
    const file = path.join(dir, name);
    if (statSync(file).isDirectory()) yield* filesBelow(file);
    else if (name.endsWith('.avro')) yield file;
  }
}

export async function readAvroFolder(dir) {
  const records = [];
  for (const file of filesBelow(dir)) {
    await new Promise((resolve, reject) => {
      avro.createFileDecoder(file, { codecs: { deflate: inflateRaw } })
        .on('data', (record) => records.push(record)).on('end', resolve).on('error', reject);
    });
  }
  return records;
}

function inflateRaw(buffer, done) { zlib.inflateRaw(buffer, done); }

/** Small seeded generator (mulberry32), so that a failing run can be repeated. */
export function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The folder of C-MAPSS data, or undefined. */
export function dataFolder() {
  for (const dir of [process.env.NACELLE_DATA, path.join(here, '../../../shared/cmapss')])
    if (dir && filesIn(dir).includes('train_FD001.txt.gz')) return dir;
  return undefined;
}
function filesIn(dir) { try { return readdirSync(dir); } catch { return []; } }

/** What `nacelle ARGS --json` says; it must end well. */
export async function okJson(args) {
  const result = await run('nacelle', [...args, '--json']);
  assert.equal(result.code, 0, `nacelle ${args.join(' ')}\n${result.stdout}\n${result.stderr}`);
  return JSON.parse(result.stdout);
}

/** Asks again until `answer` gives something true; the test's own time limit ends it. */
export async function eventually(answer) {
  for (;;) {
    const found = await answer();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A listener on the SDK's `twin` asks for updates without saying when they begin: a patch could be quicker than its subscription. */
export function updatesBegun(twin) {
  return promisify(twin.enableTwinDesiredPropertiesUpdates).call(twin);
}

/** Some clients trust the process's authorities only, and over WebSocket know port 443 only: from now on this process trusts `hub()`'s own, and
    its connections to that port go to `hub()`. */
export function leadTo(hub) {
  const { createSecureContext, connect } = tls;
  tls.createSecureContext = (options) => createSecureContext({ ...options, ca: options?.ca ?? hub()?.ca });
  tls.connect = (options, ...rest) => connect(Number(options?.port) === 443 ? { ...options, port: hub().ready.https } : options, ...rest);
}
