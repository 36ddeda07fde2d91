import { describe, expect, it } from 'vitest';
import { deploymentOf, tone } from './edge';
import { ago, condition, count, happened, parseTime } from './format';
import { identityPath, readError } from './hub';
import { equal, mergePatch, numbersIn, parseObject, withoutMetadata, type JsonObject } from './json';
import { ratesBetween } from './rates';

describe('count', () => {
  it.each([[0, '0'], [0.4249, '0.42'], [12.34, '12.3'], [99.96, '100'], [4200, '4\u202f200'], [123456, '123\u202f456'], [1234567, '1.23 M'], [2.5e9, '2.5 G'], [null, '–'], [Number.NaN, '–']])('%s is %s', (value, text) => {
    expect(count(value)).toBe(text);
  });
});

describe('times', () => {
  const now = Date.parse('2030-01-01T10:00:00Z');
  it.each([['0001-01-01T00:00:00', 'never'], ['2030-01-01T09:59:58Z', 'now'], ['2030-01-01T09:59:18', '42 s ago'], ['2030-01-01T09:00:01.5Z', '59 min ago'], ['2029-12-31T10:00:00Z', '24 h ago'], ['2029-12-25T10:00:00Z', '7 days ago'], [null, 'never']])('%s is %s', (text, said) => {
    expect(ago(text, now)).toBe(said);
  });
  it('without a zone are UTC', () => expect(parseTime('2030-01-01T10:00:00')).toBe(now));
  it('know what never was', () => expect([happened('0001-01-01T00:00:00Z'), happened(''), happened('2030-01-01T10:00:00Z')]).toEqual([false, false, true]));
});

describe('condition', () => {
  it('of a bare word looks into the names', () => expect(condition(' Client_0 ')).toBe("CONTAINS(deviceId, 'Client_0')"));
  it('else is the query language', () => expect(condition("tags.site = 'north'")).toBe("tags.site = 'north'"));
  it('of nothing is nothing', () => expect(condition('  ')).toBe(''));
});

/** RFC 7396 section 2, on its own terms: what the hub does with a patch. */
function applied(target: JsonObject, patch: JsonObject): JsonObject {
  const out = { ...target };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete out[name];
    else if (typeof value === 'object' && !Array.isArray(value)) {
      const old = out[name];
      out[name] = applied(typeof old === 'object' && old !== null && !Array.isArray(old) ? old : {}, value);
    } else out[name] = value;
  }
  return out;
}

describe('mergePatch', () => {
  it.each<[JsonObject, JsonObject, JsonObject]>([
    [{ a: 1, b: { c: 2, d: 3 } }, { a: 1, b: { c: 2, d: 4 } }, { b: { d: 4 } }],
    [{ a: 1, b: 2 }, { a: 1 }, { b: null }],
    [{ a: [1, 2] }, { a: [1, 3] }, { a: [1, 3] }],
    [{ a: 1 }, { a: { b: 1 } }, { a: { b: 1 } }],
    [{ a: { b: 1 } }, { a: 1 }, { a: 1 }],
    [{ a: { b: 1 } }, { a: {} }, { a: { b: null } }],
    [{ a: { x: 1, y: 2 } }, { a: { y: 2, x: 1 } }, {}],
  ])('from %j to %j is %j, and makes it so', (from, to, patch) => {
    expect(mergePatch(from, to)).toEqual(patch);
    expect(equal(applied(from, patch), to)).toBe(true);
  });
});

describe('documents', () => {
  it('lose what the hub keeps in them', () => expect(withoutMetadata({ a: 1, $metadata: {}, $version: 3 })).toEqual({ a: 1 }));
  it('are objects, or the reason names them', () => {
    expect(parseObject(' ', 'tags')).toEqual({});
    expect(() => parseObject('[1]', 'tags')).toThrow(/tags: expected an object/);
    expect(() => parseObject('{', 'tags')).toThrow(/^tags: /);
  });
  it('give their numbers by path', () => {
    expect([...numbersIn({ a: 1, b: { c: 2.5, d: 'x' }, e: [1, 2] })]).toEqual([['a', 1], ['b.c', 2.5]]);
    expect([...numbersIn([{ PredictedRul: 88 }])]).toEqual([['PredictedRul', 88]]);
    expect([...numbersIn(7)]).toEqual([['value', 7]]);
    expect(numbersIn(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`f${i}`, i])), 64).size).toBe(64);
    expect(numbersIn(null).size).toBe(0);
  });
});

describe('ratesBetween', () => {
  const sample = (at: number, n: number) => ({ at, received: n, acked: n, captured: n });
  it('is what came, by the time between', () => expect(ratesBetween(sample(1000, 100), sample(3000, 300))).toEqual({ at: 3, received: 100, acked: 100, captured: 100 }));
  it('says nothing of the first sample, of a gap, and of counts that began anew', () => {
    for (const [before, now] of [[undefined, sample(1000, 5)], [sample(1000, 5), sample(60_000, 50)], [sample(1000, 500), sample(3000, 5)]] as const)
      expect(ratesBetween(before, now).received).toBeNull();
  });
});

describe('readError', () => {
  it('reads each form of the hub', () => {
    const named = readError(404, '{"Message":"ErrorCode:DeviceNotFound;E2E: Device d9 not registered","ExceptionMessage":""}');
    expect([named.status, named.code, named.message]).toEqual([404, 'DeviceNotFound', 'E2E: Device d9 not registered']);
    const inner = readError(404, JSON.stringify({ Message: '{"errorCode":404103,"message":"not online"}', ExceptionMessage: '' }));
    expect([inner.code, inner.message]).toEqual(['404103', 'not online']);
    expect(readError(502, '<html>').message).toBe('<html>');
    expect(readError(503, '').message).toBe('the hub answered 503');
  });
  it('tells a missing right from a bad token', () => {
    expect(readError(401, '{"Message":"ErrorCode:IotHubUnauthorizedAccess;the caller has no right to this call"}').lacksRight).toBe(true);
    expect(readError(401, '{"Message":"ErrorCode:IotHubUnauthorizedAccess;the signature does not fit"}').lacksRight).toBe(false);
  });
});

describe('identityPath', () => {
  it('escapes names', () => expect(identityPath('twins', 'a/b', '$edgeAgent')).toBe('/twins/a%2Fb/modules/%24edgeAgent'));
});

describe('deploymentOf', () => {
  const agent: JsonObject = {
    properties: {
      desired: { $version: 4, systemModules: { edgeHub: { status: 'running' } }, modules: { filter: { status: 'running', settings: { image: 'f:2' } }, late: { status: 'running', settings: { image: 'l:1' } } } },
      reported: { lastDesiredVersion: 4, lastDesiredStatus: { code: 200, description: '' }, systemModules: { edgeHub: { runtimeStatus: 'running' } }, modules: { filter: { runtimeStatus: 'backoff', exitCode: 1, restartCount: 3, statusDescription: 'gone', settings: { image: 'f:1' } }, old: { runtimeStatus: 'stopped' } } },
    },
  };
  it('joins what is wanted and what is reported', () => {
    const { code, current, modules } = deploymentOf(agent);
    expect([code, current]).toEqual([200, true]);
    expect(modules.map((one) => [one.name, one.wanted, one.state])).toEqual([['$edgeHub', 'running', 'running'], ['filter', 'running', 'backoff'], ['late', 'running', ''], ['old', '', 'stopped']]);
    expect(modules[1]).toMatchObject({ image: 'f:1', restarts: 3, exitCode: 1, detail: 'gone' });
  });
  it('of a device that never reported knows nothing', () => {
    expect(deploymentOf({ properties: { desired: { $version: 1 }, reported: {} } })).toEqual({ code: null, description: '', current: false, modules: [] });
    expect(deploymentOf({}).modules).toEqual([]);
  });
  it('has a colour for every state', () => expect(['running', 'failed', 'backoff', 'stopped'].map(tone)).toEqual(['good', 'bad', 'wait', 'idle']));
});
