// The hub's REST calls, signed. An error answer is thrown as HubError with the hub's own sentence.
import { makeToken, type Connection } from './connection';
import type { Json, JsonObject } from './json';

export class HubError extends Error {
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }
  /** Signed well, but the policy has not the right. */
  get lacksRight() { return (this.status === 401 || this.status === 403) && /no right/i.test(this.message); }
}

/** An error body of any of the hub's forms (azure-wire-facts 2.10). */
export function readError(status: number, text: string): HubError {
  let message = text.trim() || `the hub answered ${status}`;
  let code = '';
  try {
    message = JSON.parse(text).Message ?? message;
    const named = /^ErrorCode:([^;]*);(.*)$/s.exec(message);
    if (named) [, code, message] = named as unknown as [string, string, string];
    else if (message.startsWith('{')) {
      const inner = JSON.parse(message);
      code = String(inner.errorCode ?? '');
      message = inner.message ?? message;
    }
  } catch { /* not JSON: the text itself */ }
  return new HubError(status, code, message);
}

export interface Options {
  body?: Json;
  text?: string; // a body that is not JSON
  headers?: Record<string, string>;
  signal?: AbortSignal;
}
export interface Page<T> { rows: T[]; continuation: string }

const tokenSeconds = 600; // the hub allows some minutes between the clocks

export class Hub {
  #token = '';
  #expiry = 0;
  constructor(readonly connection: Connection) {}

  async #authorization() {
    const now = Math.floor(Date.now() / 1000);
    if (now > this.#expiry - tokenSeconds / 2) {
      const expiry = now + tokenSeconds;
      this.#token = await makeToken(this.connection, expiry);
      this.#expiry = expiry;
    }
    return this.#token;
  }

  async send(method: string, path: string, { body, text, headers, signal }: Options = {}): Promise<Response> {
    const all: Record<string, string> = { authorization: await this.#authorization(), ...headers };
    if (body !== undefined) all['content-type'] = 'application/json; charset=utf-8';
    let answer: Response;
    try {
      answer = await fetch(path, { method, headers: all, body: body === undefined ? text : JSON.stringify(body), signal, cache: 'no-store' });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new HubError(0, '', 'The hub cannot be reached.');
    }
    if (!answer.ok) throw readError(answer.status, await answer.text());
    return answer;
  }

  /** The answer's JSON; undefined if it has no body. */
  async call<T = JsonObject>(method: string, path: string, options?: Options): Promise<T> {
    const text = await (await this.send(method, path, options)).text();
    return (text ? JSON.parse(text) : undefined) as T;
  }
  get<T = JsonObject>(path: string, signal?: AbortSignal) { return this.call<T>('GET', path, { signal }); }

  async page<T>(method: string, path: string, body: Json | undefined, size: number, continuation = ''): Promise<Page<T>> {
    const headers: Record<string, string> = { 'x-ms-max-item-count': String(size) };
    if (continuation) headers['x-ms-continuation'] = continuation;
    const answer = await this.send(method, path, { body, headers });
    return { rows: await answer.json(), continuation: answer.headers.get('x-ms-continuation') ?? '' };
  }
  query<T>(query: string, size = 1000, continuation = '') {
    return this.page<T>('POST', '/devices/query', { query }, size, continuation);
  }
}

/** `/devices/d` or `/devices/d/modules/m` below `root`. */
export function identityPath(root: 'devices' | 'twins', device: string, module = ''): string {
  return `/${root}/${encodeURIComponent(device)}` + (module ? `/modules/${encodeURIComponent(module)}` : '');
}
