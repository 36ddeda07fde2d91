// The brokers of the comparison: our hub and mosquitto, each started on free ports in a folder of its own and ended by its id.

import { spawn, execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const execute = promisify(execFile);

export async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answering(port) {
  for (let attempt = 0; attempt < 200; ++attempt) {
    const open = await new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
      socket.on('error', () => resolve(false));
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`nothing answers on port ${port}`);
}

function ended(child) {
  return child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : new Promise((resolve) => child.once('exit', resolve));
}

async function stop(child) {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
  await ended(child);
}

/** Runs the load generator; its line of JSON. */
export async function load(program, args) {
  const { stdout } = await execute(program, args.map(String), { maxBuffer: 1 << 24 });
  return JSON.parse(stdout);
}

/** CPU seconds and resident bytes of a process (Linux). */
export function usage(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
  return { cpu: (Number(fields[11]) + Number(fields[12])) / 100, resident };
}

export class Mosquitto {
  /** `tls`: a folder with server.pem, server-key.pem, ca.pem; else plain TCP. Nothing is kept on disk. */
  static async start(dir, tls) {
    const broker = new Mosquitto();
    broker.port = await freePort();
    mkdirSync(dir, { recursive: true });
    const lines = [`listener ${broker.port} 127.0.0.1`, 'allow_anonymous true', 'persistence false', 'log_type error', 'set_tcp_nodelay true',
      'user root', 'max_queued_messages 0'];
    if (tls) lines.push(`certfile ${tls.certificate}`, `keyfile ${tls.key}`);
    const file = path.join(dir, 'mosquitto.conf');
    writeFileSync(file, lines.join('\n') + '\n');
    broker.child = spawn('mosquitto', ['-c', file], { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } });
    await answering(broker.port);
    return broker;
  }
  get pid() { return this.child.pid; }
  stop() { return stop(this.child); }
}

function sas(resource, key, policy) {
  const expiry = Math.floor(Date.now() / 1000) + 24 * 3600;
  const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(`${resource}\n${expiry}`).digest('base64');
  return `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expiry}` + (policy ? `&skn=${policy}` : '');
}

export class Hub {
  static async start(program, dir, args = []) {
    const hub = new Hub();
    hub.dir = dir;
    hub.child = spawn(program, ['hub', '--data', dir, '--host', 'localhost', '--mqtts', '0', '--https', '0', '--metrics', '0', '--mqtt', '0', ...args],
      { stdio: ['ignore', 'pipe', 'inherit'] });
    const line = await Promise.race([new Promise((resolve) => createInterface({ input: hub.child.stdout }).once('line', resolve)), ended(hub.child)]);
    if (!line) throw new Error('the hub ended before it was ready');
    hub.ready = JSON.parse(line);
    hub.ca = readFileSync(hub.ready.ca, 'utf8');
    const file = JSON.parse(readFileSync(path.join(dir, 'hub.json'), 'utf8'));
    hub.key = /SharedAccessKey=([^;]+)/.exec(file.connectionString)[1];
    return hub;
  }
  get pid() { return this.child.pid; }
  stop() { return stop(this.child); }

  token() { return sas('localhost', this.key, 'iothubowner'); }

  /** The values of one metric: `[[labels, value]]`. */
  async metric(name) {
    const page = await (await fetch(`http://127.0.0.1:${this.ready.metrics}/metrics`)).text();
    return [...page.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)`, 'gm'))].map(([, labels, value]) => [labels ?? '', Number(value)]);
  }

  /** How many group commits took how long to sync, cumulative: `[{seconds, count}]`, the last with infinite seconds. */
  async syncs() {
    return (await this.metric('nacelle_hub_log_sync_seconds_bucket')).map(([labels, count]) => {
      const bound = /le="([^"]+)"/.exec(labels)[1];
      return { seconds: bound === '+Inf' ? Infinity : Number(bound), count };
    });
  }

  rest(method, target, body) {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const request = https.request({ host: 'localhost', port: this.ready.https, path: target, method, ca: this.ca,
        headers: { Authorization: this.token(), ...(text ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) } : {}) } },
      (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('end', () => {
          const raw = Buffer.concat(chunks).toString();
          if (response.statusCode >= 300) return reject(new Error(`${method} ${target}: ${response.statusCode} ${raw}`));
          resolve(raw ? JSON.parse(raw) : undefined);
        });
      });
      request.on('error', reject);
      request.end(text);
    });
  }

  /** Registers `count` devices and writes the load generator's list of them. */
  async identities(file, count) {
    const lines = [];
    for (let first = 0; first < count; first += 100) {
      const batch = Array.from({ length: Math.min(100, count - first) }, (_, i) => `load-${first + i}`);
      const keys = batch.map(() => Buffer.alloc(32, 7).toString('base64'));
      await this.rest('POST', '/devices?api-version=2021-04-12', batch.map((id, i) => ({
        id, importMode: 'create', status: 'enabled', authentication: { type: 'sas', symmetricKey: { primaryKey: keys[i], secondaryKey: keys[i] } },
      })));
      for (const [i, id] of batch.entries())
        lines.push([id, `localhost/${id}/?api-version=2021-04-12`, sas(`localhost%2Fdevices%2F${id}`, keys[i]),
          `devices/${id}/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8`].join('\t'));
    }
    writeFileSync(file, lines.join('\n') + '\n');
    return file;
  }

  /** Only the built-in endpoint `events`: what a broker does. Else the default routes: two captures with `$body` conditions. */
  onlyEvents() {
    return this.rest('PUT', '/routes', { routes: [{ name: 'events', source: 'DeviceMessages', condition: 'true', endpoint: { type: 'events' }, enabled: true }] });
  }
}

/** A reading as the tutorial's simulator sends it, padded with blanks to exactly `bytes`. */
export function reading(bytes) {
  const body = { DeviceId: 'load-0', CycleTime: 1, OperationalSetting1: -0.0007, OperationalSetting2: -0.0004, OperationalSetting3: 100 };
  const sensors = [518.67, 641.82, 1589.7, 1400.6, 14.62, 21.61, 554.36, 2388.06, 9046.19, 1.3, 47.47, 521.66, 2388.02, 8138.62, 8.4195, 0.03, 392, 2388, 100, 39.06, 23.419];
  sensors.forEach((value, i) => { body[`Sensor${i + 1}`] = value; });
  return JSON.stringify(body).padEnd(bytes, ' ');
}
