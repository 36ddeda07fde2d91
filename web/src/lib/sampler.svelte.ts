// The hub's message counts, read every two seconds while someone is signed in; the last ten minutes are kept.
import type { HubError } from './hub';
import { ratesBetween, type Rates, type Sample } from './rates';
import { session } from './session.svelte';

export interface Statistics { received: number; acked: number; captured: number; capturePending: number; uploads: number; routed: Record<string, number> }
export interface Endpoint { route: string; endpoint: string; health: string; why: string; delivered: number; failures: number; behind: number; lost: number }

const interval = 2000;
const most = 300;

class Sampler {
  history = $state.raw<Rates[]>([]);
  statistics = $state.raw<Statistics>();
  endpoints = $state.raw<Endpoint[]>();
  failure = $state.raw<Error>();
  #last: Sample | undefined;

  /** Until the returned function is called. */
  run(): () => void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const step = async () => {
      if (!document.hidden) await this.#sample(() => over);
      if (!over) timer = setTimeout(step, interval);
    };
    void step();
    return () => {
      over = true;
      clearTimeout(timer);
      this.history = [];
      this.statistics = this.endpoints = this.#last = undefined;
    };
  }

  async #sample(over: () => boolean) {
    const hub = session.hub!;
    try {
      const [statistics, health] = await Promise.all([
        session.registry ? hub.get<Statistics>('/statistics/messages') : undefined,
        session.service ? hub.get<{ endpoints: Endpoint[] }>('/endpoints') : undefined,
      ]);
      if (over()) return;
      this.failure = undefined;
      this.statistics = statistics;
      this.endpoints = health?.endpoints;
      if (!statistics) return;
      // A file counts as captured when it is complete, once in a while; what is on its way into one shows the stream.
      const storage = health?.endpoints.filter((one) => one.endpoint.startsWith('storage:')).map((one) => one.route);
      const captured = storage ? storage.reduce((sum, name) => sum + (statistics.routed[name] ?? 0), 0) : statistics.captured;
      const now = { at: Date.now(), received: statistics.received, acked: statistics.acked, captured };
      this.history = [...this.history.slice(1 - most), ratesBetween(this.#last, now)];
      this.#last = now;
    } catch (error) {
      if (!over()) this.failure = error as HubError;
    }
  }
}

export const sampler = new Sampler();
