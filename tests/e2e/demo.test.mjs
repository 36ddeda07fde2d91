// The whole loop on a tenth of the data: `nacelle demo --quick` checks every count itself and fails on a mismatch.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from './harness.mjs';

test('nacelle demo --quick ends with every count checked', { timeout: 580_000 }, async () => {
  const result = await run('nacelle', ['demo', '--quick', '--offline']);
  console.log(result.stdout.replace(/^/gm, '# '));
  assert.equal(result.code, 0, result.stderr.slice(-4000));
});
