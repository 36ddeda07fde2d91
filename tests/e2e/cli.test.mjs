// Bad input: one clear sentence with file, line or field, exit code 2, and no half-written state.

import assert from 'node:assert/strict';
import { readdirSync, writeFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Service, folder, run } from './harness.mjs';

/** Expects exit code 2 and one line of error that mentions each of `words`. */
async function refused(args, ...words) {
  const result = await run('nacelle', args);
  assert.equal(result.code, 2, `nacelle ${args.join(' ')}\n${result.stdout}\n${result.stderr}`);
  const errors = result.stderr.split('\n').filter((line) => line.startsWith('error: '));
  assert.equal(errors.length, 1, result.stderr);
  for (const word of words) assert.match(errors[0], word);
}

const row = (unit, cycle) => [unit, cycle, ...Array(24).fill('1.5')].join(' ') + '  \n';

test('a malformed row names file, line and column', async (t) => {
  const dir = folder(t);
  const file = path.join(dir, 'bad.txt');
  writeFileSync(file, row(1, 1) + row(1, 2).replace('1.5', 'one'));
  await refused(['train', '--data', file, '--out', path.join(dir, 'model')], /bad\.txt/, /2/, /one/);
  assert.deepEqual(readdirSync(dir), ['bad.txt']);
});

test('a wrong column count says how many were wanted and found', async (t) => {
  const dir = folder(t);
  const file = path.join(dir, 'short.txt');
  writeFileSync(file, row(1, 1) + '1 2 3.0\n');
  await refused(['train', '--data', file, '--out', path.join(dir, 'model')], /short\.txt/, /26/, /\b3\b/);
});

test('a number out of range is refused', async (t) => {
  const dir = folder(t);
  const file = path.join(dir, 'range.txt');
  writeFileSync(file, row(1, 1).replace('1.5', '1e999'));
  await refused(['train', '--data', file, '--out', path.join(dir, 'model')], /range\.txt/, /1e999/);
});

test('a truncated .gz is refused', async (t) => {
  const dir = folder(t);
  const file = path.join(dir, 'cut.txt.gz');
  const whole = gzipSync(Array.from({ length: 500 }, (_, i) => row(1, i + 1)).join(''));
  writeFileSync(file, whole.subarray(0, whole.length - 20));
  await refused(['train', '--data', file, '--out', path.join(dir, 'model')], /cut\.txt\.gz/);
});

test('a truncated Avro file is refused', async (t) => {
  const file = path.join(folder(t), 'cut.avro');
  writeFileSync(file, 'Obj\x01\x02\x16avro.schema');
  await refused(['avro', 'cat', file], /cut\.avro/);
});

test('an unknown data set lists what there is', async (t) => {
  await refused(['train', '--data', 'FD009', '--out', path.join(folder(t), 'model')], /FD009/);
});

test('a bad connection string names the missing part and never the key', async () => {
  const result = await run('nacelle', ['simulate', '--data-set', 'FD001', '--connection', 'HostName=h;SharedAccessKey=c2VjcmV0']);
  assert.equal(result.code, 2);
  assert.doesNotMatch(result.stderr + result.stdout, /c2VjcmV0/);
  assert.match(result.stderr, /SharedAccessKeyName|DeviceId/);
});

test('a missing model is named', async (t) => {
  const dir = folder(t);
  await refused(['predict', '--model', path.join(dir, 'nothing'), '--data', 'FD001'], /nothing/);
  await refused(['score', '--model', 'no-such-model:7', '--workbench', dir, '--port', '0'], /no-such-model/);
});

test('a damaged model is refused by its hash', async (t) => {
  const dir = folder(t);
  const data = path.join(dir, 'fleet.txt');
  assert.equal((await run('nacelle', ['simulate', 'generate', '--engines', '10', '--seed', '3', '--out', data])).code, 0);
  const made = await run('nacelle', ['train', '--data', data, '--out', path.join(dir, 'm'), '--trainer', 'ridge']);
  assert.equal(made.code, 0, made.stderr);
  const file = path.join(dir, 'm', 'model.nacelle');
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1] ^= 1;
  writeFileSync(file, bytes);
  await refused(['predict', '--model', file, '--data', data], /model\.nacelle/);
});

test('a configuration file gives the options, and a wrong name or value in it is told', async (t) => {
  const dir = folder(t);
  const file = path.join(dir, 'nacelle.toml');
  const write = (text) => writeFileSync(file, text);
  write(`[hub]\ndata = "${dir}/hub"\nmqtts = 0\nhttps = 0\nmetrics = 0\n[edge]\nmqtts = 1\n`);
  const hub = await Service.start(t, ['hub', '--config', file]);
  assert.ok(hub.ready.mqtts > 1 && hub.ready.ca.startsWith(`${dir}/hub`), JSON.stringify(hub.ready));
  assert.equal((await hub.kill('SIGTERM')).code, 0);
  write('[hub]\nmqttps = 0\n');
  await refused(['--config', file, 'hub'], /hub\.mqttps/);
  write('[hub]\nmqtts = "many"\n');
  await refused(['hub', '--config', file], /mqtts.*many/);
  await refused(['hub', '--config', path.join(dir, 'none.toml')], /none\.toml/);
});

test('every command of the workbench has help with an example, and --json', async () => {
  for (const command of ['data', 'experiments', 'models']) {
    const { stdout } = await run('nacelle', [command, '--help']);
    const listed = stdout.slice(stdout.indexOf('Subcommands:')).split('\n\n')[0].split('\n').slice(1).map((line) => /^  ([a-z-]+) /.exec(line)?.[1]).filter(Boolean);
    assert.ok(listed.length >= 4, `${command}: ${listed}`);
    for (const name of listed) {
      const help = await run('nacelle', [command, name, '--help']);
      assert.match(help.stdout, new RegExp(`nacelle ${command} ${name} `), `${command} ${name}`);
      assert.match(help.stdout, /--json/, `${command} ${name}`);
      assert.match(help.stdout, /Example/i, `${command} ${name}`);
    }
  }
});

test('every command has help with an example', async () => {
  const root = await run('nacelle', ['--help']);
  assert.equal(root.code, 0);
  for (const command of ['hub', 'edge', 'simulate', 'data', 'train', 'experiments', 'models', 'evaluate', 'predict', 'score', 'package', 'deploy', 'devices', 'modules', 'methods', 'messages', 'files', 'policies', 'check', 'twins', 'events', 'routes', 'avro', 'demo']) {
    const help = await run('nacelle', [command, '--help']);
    assert.equal(help.code, 0, command);
    assert.match(help.stdout, /nacelle [a-z]/, command);
    assert.match(help.stdout, /Example/i, command);
  }
});
