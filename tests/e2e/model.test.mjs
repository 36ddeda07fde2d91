// The workbench and the scoring service as a user drives them: train, predict, evaluate, serve; the same numbers everywhere.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Service, dataFolder, folder, run } from './harness.mjs';

async function ok(args) {
  const result = await run('nacelle', args);
  assert.equal(result.code, 0, `nacelle ${args.join(' ')}\n${result.stdout}\n${result.stderr}`);
  return result.stdout;
}

/** Train and test files: C-MAPSS where it is, else a generated fleet. */
async function fleet(dir) {
  const data = dataFolder();
  if (data) return { train: `${data}/train_FD001.txt.gz`, test: `${data}/test_FD001.txt.gz`, rul: `${data}/RUL_FD001.txt`, real: true };
  const file = (name) => path.join(dir, name);
  await ok(['simulate', 'generate', '--engines', '60', '--seed', '11', '--out', file('train.txt'), '--test-out', file('test.txt'), '--rul-out', file('rul.txt')]);
  return { train: file('train.txt'), test: file('test.txt'), rul: file('rul.txt'), real: false };
}

test('train, predict, evaluate and serve agree', async (t) => {
  const dir = folder(t);
  const { train, test: held, rul, real } = await fleet(dir);
  const model = path.join(dir, 'model');
  await ok(['train', '--data', train, '--out', model, '--seed', '7']);

  const predicted = JSON.parse(await ok(['predict', '--model', model, '--data', held, '--json'])).engines;
  const truth = readFileSync(rul, 'utf8').trim().split(/\s+/).map(Number);
  assert.equal(predicted.length, truth.length);
  for (const { rul: value } of predicted) assert.ok(value >= 0 && value <= 125);
  const rmse = Math.sqrt(predicted.reduce((sum, engine, i) => sum + (engine.rul - Math.min(125, truth[i])) ** 2, 0) / truth.length);
  console.log(`# capped RMSE ${rmse.toFixed(2)} on ${real ? 'FD001' : 'a generated fleet'}`);
  const mean = truth.map((x) => Math.min(125, x)).reduce((a, b) => a + b) / truth.length;
  const naive = Math.sqrt(truth.reduce((sum, x) => sum + (Math.min(125, x) - mean) ** 2, 0) / truth.length);
  assert.ok(rmse < (real ? 12.5 : 0.7 * naive), `RMSE ${rmse}, naive ${naive}`);

  const report = path.join(dir, 'report.html');
  const evaluation = JSON.parse(await ok(['evaluate', '--model', model, '--data', held, '--rul', rul, '--report', report, '--json']));
  assert.ok(Math.abs(evaluation.capped.rmse - rmse) < 1e-9, `evaluate says ${evaluation.capped.rmse}, the predictions ${rmse}`);
  assert.match(readFileSync(report, 'utf8'), /<svg/);

  const service = await Service.start(t, ['score', '--model', model, '--port', '0']);
  const url = `http://127.0.0.1:${service.ready.port}`;
  assert.equal((await fetch(`${url}/health`)).status, 200);
  const records = await recordsOf(held, 1);
  const answer = await fetch(`${url}/score`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(records) });
  assert.equal(answer.status, 200);
  const scored = await answer.json();
  assert.equal(scored.length, records.length);
  assert.equal(scored.at(-1).PredictedRul, predicted[0].rul);
  assert.equal(scored[0].Sensor2, records[0].Sensor2);

  const one = await (await fetch(`${url}/score`, { method: 'POST', body: JSON.stringify(records[0]), headers: { 'Content-Type': 'application/json' } })).json();
  assert.equal(typeof one.PredictedRul, 'number');
  const wrong = await fetch(`${url}/score`, { method: 'POST', body: JSON.stringify([records[0], { ...records[1], Sensor3: 'hot' }]), headers: { 'Content-Type': 'application/json' } });
  assert.equal(wrong.status, 400);
  const text = await wrong.text();
  assert.match(text, /Sensor3/);
  assert.match(text, /1|2/);
});

/** Engine `unit` of a C-MAPSS text file as scoring records. */
async function recordsOf(file, unit) {
  const raw = readFileSync(file);
  const text = (file.endsWith('.gz') ? (await import('node:zlib')).gunzipSync(raw) : raw).toString();
  return text.split('\n').filter((line) => line.startsWith(`${unit} `)).map((line) => {
    const v = line.trim().split(/\s+/).map(Number);
    const record = { CycleTime: v[1] };
    for (let i = 0; i < 3; ++i) record[`OperationalSetting${i + 1}`] = v[2 + i];
    for (let i = 0; i < 21; ++i) record[`Sensor${i + 1}`] = v[5 + i];
    return record;
  });
}

test('an experiment registers the better of two trainers, and the registry serves it by name', async (t) => {
  const dir = folder(t);
  const { train, test: held } = await fleet(dir);
  const bench = ['--workbench', path.join(dir, 'wb')];
  await ok(['train', '--data', train, '--experiment', 'compare', '--trainers', 'xgboost,ridge', '--folds', '3', '--register', 'rul', ...bench]);
  const board = await ok(['experiments', 'show', 'compare', ...bench]);
  assert.match(board, /xgboost/);
  assert.match(board, /ridge/);
  assert.match(await ok(['models', 'list', ...bench]), /rul/);
  const byName = JSON.parse(await ok(['predict', '--model', 'rul:1', '--data', held, '--json', ...bench]));
  assert.ok(byName.engines.length > 0);
});

test('the packed image is a valid OCI image, the same bytes each time', async (t) => {
  const dir = folder(t);
  const data = path.join(dir, 'fleet.txt');
  await ok(['simulate', 'generate', '--engines', '10', '--seed', '5', '--out', data]);
  const model = path.join(dir, 'model');
  await ok(['train', '--data', data, '--out', model, '--trainer', 'ridge']);
  const images = [path.join(dir, 'a.tar'), path.join(dir, 'b.tar')];
  for (const image of images) await ok(['package', '--model', model, '--out', image]);
  assert.ok(readFileSync(images[0]).equals(readFileSync(images[1])), 'two packs of one model differ');
  const seen = await run('/usr/bin/skopeo', ['inspect', `oci-archive:${images[0]}`]);
  assert.equal(seen.code, 0, seen.stderr);
  assert.equal(JSON.parse(seen.stdout).Os, 'linux');
});
