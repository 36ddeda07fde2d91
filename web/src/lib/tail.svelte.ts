// A live tail of the hub's events, newest first, bounded. A tail that cannot keep up passes over to what is new.
import type { Json, JsonObject } from './json';
import { session } from './session.svelte';

export interface HubEvent {
  key: string;
  partition: number;
  offset: number;
  enqueuedTimeUtc: string;
  systemProperties: Record<string, string>;
  properties: Record<string, string>;
  body: Json;
  bodyEncoding: 'json' | 'base64';
}

const rest = 250; // ms between two answers, so that a busy hub fills them
const mostInARow = 8; // full answers while it catches up with the past, before it passes over to what is new
const afterFailure = 3000;

const pause = (ms: number, signal: AbortSignal) => new Promise<void>((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
});

export class Tail {
  running = $state(false);
  events = $state.raw<HubEvent[]>([]);
  seen = $state(0);
  passedOver = $state(false);
  failure = $state.raw<Error>();
  #stop: AbortController | undefined;

  /** `most` are kept, `page` asked for at once. */
  constructor(private readonly most = 500, private readonly onEvents: (events: HubEvent[]) => void = () => {}, private readonly page = 500) {}

  /** `from`: `end`, or a time to begin with. */
  start(device = '', from = 'end') {
    this.stop();
    this.clear();
    const stop = (this.#stop = new AbortController());
    this.running = true;
    void this.#follow(device, from, stop.signal);
  }
  stop() {
    this.#stop?.abort();
    this.running = false;
  }
  clear() {
    this.events = [];
    this.seen = 0;
    this.passedOver = false;
    this.failure = undefined;
  }

  async #follow(device: string, from: string, signal: AbortSignal) {
    let next: Json | undefined;
    let full = 0;
    while (!signal.aborted) {
      const query = new URLSearchParams({ maxEvents: String(this.page), waitSeconds: '20', from });
      if (device) query.set('device', device);
      if (next !== undefined) query.set('next', JSON.stringify(next));
      try {
        const answer = await session.hub!.get<{ events: Omit<HubEvent, 'key'>[]; next: JsonObject }>('/events?' + query, signal);
        if (signal.aborted) return;
        this.failure = undefined;
        next = answer.next;
        full = answer.events.length >= this.page ? full + 1 : 0;
        this.#take(answer.events.map((event) => ({ ...event, key: `${event.partition}:${event.offset}` })));
        const catchingUp = from !== 'end';
        if (full > (catchingUp ? mostInARow : 1)) {
          this.passedOver = true;
          next = undefined;
          from = 'end';
          full = 0;
        }
        if (full === 0 || !catchingUp) await pause(rest, signal);
      } catch (error) {
        if (signal.aborted) return;
        this.failure = error as Error;
        await pause(afterFailure, signal);
      }
    }
  }

  #take(events: HubEvent[]) {
    if (events.length === 0) return;
    this.seen += events.length;
    this.onEvents(events);
    this.events = [...events.reverse(), ...this.events].slice(0, this.most);
  }
}

export const senderOf = (event: HubEvent) =>
  [event.systemProperties.connectionDeviceId, event.systemProperties.connectionModuleId].filter(Boolean).join('/');
