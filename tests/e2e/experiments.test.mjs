// Experiments as a user runs them: killed and resumed, trials that fail alone, fleets that are no turbofans, advice, the registry.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { folder, program, run } from './harness.mjs';

async function ok(args) {
  const result = await run('nacelle', args);
  assert.equal(result.code, 0, `nacelle ${args.join(' ')}\n${result.stdout}\n${result.stderr}`);
  return result.stdout;
}
const json = async (args) => JSON.parse(await ok([...args, '--json']));

async function fleet(dir, engines = 16) {
  const data = path.join(dir, 'train.txt');
  const test = path.join(dir, 'test.txt');
  const rul = path.join(dir, 'rul.txt');
  await ok(['simulate', 'generate', '--engines', String(engines), '--seed', '3', '--out', data, '--test-out', test, '--rul-out', rul]);
  return { data, test, rul };
}

function declare(dir, content) {
  const file = path.join(dir, 'experiment.json');
  writeFileSync(file, JSON.stringify(content));
  return file;
}

/** What must not depend on kills, threads and order: each trial's end. */
const told = (runs) => runs.map(({ trial, status, metrics, artifactSha256 }) => ({ trial, status, rmse: metrics.rmse, artifactSha256 }));

test('an experiment killed with -9 is shown as interrupted and resumes to the same leaderboard', async (t) => {
  const dir = folder(t);
  const { data } = await fleet(dir);
  const config = declare(dir, {
    spaces: [{ trainer: 'ridge', parameters: { l2: { log: [0.0001, 10] } } }],
    budget: { trials: 8 }, halving: { keep_one_in: 2, finalists: 2 }, folds: 3, register: 'rul',
  });
  const whole = await json(['train', '--config', config, '--data', data, '--experiment', 'sweep', '--workbench', path.join(dir, 'whole'), '--threads', '1']);
  assert.equal(whole.leaderboard.length, 8);
  assert.equal(whole.registered.version, 1);

  const bench = ['--workbench', path.join(dir, 'killed')];
  const child = spawn(program('nacelle'), ['train', '--config', config, '--data', data, '--experiment', 'sweep', '--threads', '2', ...bench], { stdio: ['ignore', 'ignore', 'pipe'] });
  let lines = 0;
  await new Promise((resolve) => {
    child.stderr.on('data', (text) => {
      lines += String(text).split('\n').filter((line) => line.startsWith('trial ')).length;
      if (lines >= 3) resolve();
    });
    child.once('exit', resolve);
  });
  child.kill('SIGKILL');
  await new Promise((resolve) => (child.exitCode !== null || child.signalCode !== null ? resolve() : child.once('exit', resolve)));

  const seen = await json(['experiments', 'show', 'sweep', ...bench]);
  assert.equal(seen.sweeps[0].status, 'interrupted');
  const states = seen.leaderboard.map(({ status }) => status);
  assert.ok(!states.includes('running') && states.includes('interrupted'), String(states));
  assert.ok(seen.leaderboard.some(({ folds }) => folds > 0), 'what was judged is kept');

  const resumed = await json(['experiments', 'resume', 'sweep', '--threads', '3', ...bench]);
  assert.deepEqual(told(resumed.leaderboard), told(whole.leaderboard));
  assert.equal((await run('nacelle', ['experiments', 'resume', 'sweep', ...bench])).code, 1);
  const listed = await json(['experiments', 'list', ...bench]);
  assert.equal(listed.experiments[0].status, 'finished');

  const [first, second] = resumed.leaderboard;
  const compared = await json(['experiments', 'compare', first.id, second.id, ...bench]);
  assert.equal(compared.againstFirst[second.id].engines, 16);
  assert.ok(compared.differences.l2 || JSON.stringify(first.parameters) === JSON.stringify(second.parameters));
});

test('trials that need too much memory fail with the reason, and the experiment says so', async (t) => {
  const dir = folder(t);
  const { data } = await fleet(dir, 8);
  const config = declare(dir, { name: 'narrow', data, spaces: ['xgboost'], budget: { trials: 2 }, folds: 2, trial: { memory_mb: 64 } });
  const result = await run('nacelle', ['train', '--config', config, '--workbench', path.join(dir, 'w')]);
  assert.notEqual(result.code, 0);
  assert.match(result.stderr, /64 MiB|memory|libxgboost/);
  const seen = await json(['experiments', 'show', 'narrow', '--workbench', path.join(dir, 'w')]);
  assert.deepEqual(seen.leaderboard.map(({ status }) => status), ['failed', 'failed']);
  assert.ok(seen.leaderboard.every(({ message }) => message.length > 0));
});

test('mistakes in the declaration are named, with exit code 2 and nothing recorded', async (t) => {
  const dir = folder(t);
  const { data } = await fleet(dir, 8);
  for (const [content, word] of [
    [{ spaces: [] }, /spaces/],
    [{ spaces: ['oracle'] }, /oracle/],
    [{ spaces: ['ridge'], fold: 3 }, /'fold'/],
    [{ spaces: [{ trainer: 'ridge', parameters: { l2: { between: [1, 2] } } }] }, /l2/],
  ]) {
    const config = declare(dir, { name: 'x', data, ...content });
    const result = await run('nacelle', ['train', '--config', config, '--workbench', path.join(dir, 'w')]);
    assert.equal(result.code, 2, result.stderr);
    assert.match(result.stderr, word);
  }
});

/** Pumps: wear begins half way; vibration tells it, in one file; heat and flow in another. */
function pumps(count) {
  let seed = 7;
  const noise = () => { seed = (seed * 48271) % 2147483647; return seed / 2147483647 - 0.5; };
  const vibration = ['pump,hour,load,vibration'], rest = ['hour,heat,pump,flow'], failures = ['pump,failed'];
  for (let p = 1; p <= count; ++p) {
    const life = 120 + Math.round(80 * (noise() + 0.5)), running = p === count;
    for (let h = 1; h <= (running ? 60 : life); ++h) {
      const wear = Math.max(0, h / life - 0.4) ** 2;
      vibration.push(`P-${p},${h},50,${(2 + 20 * wear + noise()).toFixed(3)}`);
      rest.push(`${h},${(60 + 40 * wear + noise()).toFixed(3)},P-${p},${(9 - 5 * wear + 0.2 * noise()).toFixed(3)}`);
    }
    if (!running) failures.push(`P-${p},${life}`);
  }
  return { vibration: vibration.join('\n'), rest: rest.join('\n'), failures: failures.join('\n') };
}

test('a fleet of pumps from two files and a list of failures needs a schema and no code', async (t) => {
  const dir = folder(t);
  const file = (name) => path.join(dir, name);
  for (const [name, text] of Object.entries(pumps(20))) writeFileSync(file(`${name}.csv`), text);
  const schema = {
    machine: 'pump', id: { name: 'pump', form: 'text' }, time: 'hour', settings: [{ name: 'load', tolerance: 10 }],
    sensors: ['vibration', 'heat', 'flow'], label: 'left', events: { time: 'failed' },
  };
  writeFileSync(file('schema.json'), JSON.stringify(schema));
  const of = ['--schema', file('schema.json')];
  const imported = await json(['data', 'import', '--csv', file('vibration.csv'), file('rest.csv'), '--events', file('failures.csv'), '--out', file('all.csv'), ...of]);
  assert.equal(imported.engines, 20);
  assert.equal(imported.joined, imported.rows);
  const profile = await json(['data', 'profile', '--data', file('all.csv'), '--report', file('profile.html'), ...of]);
  assert.equal(profile.machines, 20);
  assert.ok(profile.columns.find(({ name }) => name === 'vibration').drift > 0.5);

  await ok(['data', 'prepare', '--data', file('all.csv'), '--events', file('failures.csv'), '--out', file('labelled.csv'), ...of]);
  const model = file('model');
  await ok(['train', '--data', file('labelled.csv'), '--trainer', 'ridge', '--out', model, ...of]);
  const predicted = await json(['predict', '--model', model, '--data', file('labelled.csv'), '--intervals', '--advise', ...of]);
  const running = predicted.engines.find(({ name }) => name === 'P-20');
  const dead = predicted.engines.find(({ name }) => name === 'P-1');
  assert.ok(running.rul > dead.rul + 20, `${running.rul} and ${dead.rul}`);
  assert.ok(dead.low <= dead.rul && dead.rul <= dead.high);
  assert.equal(dead.advice.urgency, 'now');
  assert.match(await ok(['advise', '--model', model, '--data', file('labelled.csv'), ...of]), /now\s+pump P-\d+/);
});

test('evaluation compares models, stresses them, and the registry keeps what is in use', async (t) => {
  const dir = folder(t);
  const { data, test: held, rul } = await fleet(dir);
  const bench = ['--workbench', path.join(dir, 'w')];
  await ok(['train', '--data', data, '--experiment', 'both', '--trainers', 'xgboost,ridge', '--folds', '3', '--register', 'rul', ...bench]);
  const runs = (await json(['experiments', 'show', 'both', ...bench])).leaderboard;
  const other = runs.find(({ trainer }) => trainer === 'ridge').artifactSha256;
  await ok(['models', 'register', 'rul', '--artifact', path.join(dir, 'w', 'artifacts', `${other}.nacelle`), ...bench]);
  const judged = await json(['evaluate', '--model', 'rul:2', '--against', 'rul:1', '--data', held, '--rul', rul, '--robustness', '--report', path.join(dir, 'r.html'), ...bench]);
  assert.ok(judged.ranges.rmse[0] <= judged.capped.rmse && judged.capped.rmse <= judged.ranges.rmse[1]);
  assert.equal(judged.comparison.engines, judged.engines.length);
  assert.ok(['better', 'worse', 'not different'].includes(judged.comparison.verdict));
  assert.equal(judged.robustness.lateJoins.length, 6);
  assert.equal(judged.horizons.reduce((sum, { count }) => sum + count, 0), judged.engines.length);

  const diff = await json(['models', 'diff', 'rul:1', 'rul:2', ...bench]);
  assert.deepEqual(diff.differences.trainer, ['"xgboost"', '"ridge"']);
  await ok(['models', 'note', 'rul:2', 'the line, for comparison', ...bench]);
  const refused = await run('nacelle', ['models', 'delete', 'rul:1', ...bench]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /champion/);
  await ok(['models', 'alias', 'rul:2', 'challenger', '--remove', ...bench]);
  await ok(['models', 'delete', 'rul:2', ...bench]);
  const { models } = await json(['models', 'list', ...bench]);
  assert.deepEqual(models.map(({ version }) => version), [1]);
});
