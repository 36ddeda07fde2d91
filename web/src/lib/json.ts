// JSON values, and the changes between two documents.

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject { [name: string]: Json }

export const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value);
export const pretty = (value: Json | undefined) => (value === undefined ? '' : JSON.stringify(value, null, 2));

/** Key order does not count. */
export function equal(a: Json | undefined, b: Json | undefined): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => equal(item, b[i]));
  if (isObject(a) && isObject(b)) {
    const names = Object.keys(a);
    return names.length === Object.keys(b).length && names.every((name) => name in b && equal(a[name], b[name]));
  }
  return a === b;
}

/** The merge patch (RFC 7396) that makes `to` of `from`. */
export function mergePatch(from: JsonObject, to: JsonObject): JsonObject {
  const patch: JsonObject = {};
  for (const name of Object.keys(from)) if (!(name in to)) patch[name] = null;
  for (const [name, value] of Object.entries(to)) {
    const old = from[name];
    if (equal(old, value)) continue;
    patch[name] = isObject(old) && isObject(value) ? mergePatch(old, value) : value;
  }
  return patch;
}

/** A twin section without what the hub keeps in it. */
export function withoutMetadata(section: JsonObject | undefined): JsonObject {
  return Object.fromEntries(Object.entries(section ?? {}).filter(([name]) => name !== '$metadata' && name !== '$version'));
}

/** Throws an Error that names `what`, unless `text` is a JSON object. An empty text is an empty object. */
export function parseObject(text: string, what: string): JsonObject {
  let value: unknown;
  try { value = text.trim() ? JSON.parse(text) : {}; } catch (error) { throw new Error(`${what}: ${(error as Error).message}`); }
  if (!isObject(value)) throw new Error(`${what}: expected an object { .. }`);
  return value;
}

/** Numbers anywhere in a body, by their dotted path; at most `most`. */
export function numbersIn(body: Json, most = 64): Map<string, number> {
  const found = new Map<string, number>();
  const walk = (value: Json, path: string, depth: number) => {
    if (found.size >= most) return;
    if (typeof value === 'number') found.set(path || 'value', value);
    else if (isObject(value) && depth < 4) for (const [name, inner] of Object.entries(value)) walk(inner, path ? `${path}.${name}` : name, depth + 1);
  };
  walk(Array.isArray(body) && body.length === 1 ? body[0] : body, '', 0);
  return found;
}
