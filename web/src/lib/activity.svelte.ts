// Which devices are sending: seen in the event tail within the last seconds.
import { SvelteMap } from 'svelte/reactivity';
import { Tail } from './tail.svelte';

const fresh = 10_000; // ms

export class Activity {
  #seen = new SvelteMap<string, number>();
  #now = $state(Date.now());
  #tail = new Tail(0, (events) => {
    const at = Date.now();
    for (const event of events) {
      const device = event.systemProperties.connectionDeviceId;
      if (device) this.#seen.set(device, at);
    }
  }, 200); // a sample is enough

  /** To be made while a component is set up. */
  constructor(allowed: boolean) {
    $effect(() => {
      if (!allowed) return;
      this.#tail.start();
      const timer = setInterval(() => {
        this.#now = Date.now();
        for (const [device, at] of this.#seen) if (this.#now - at > fresh) this.#seen.delete(device);
      }, 1000);
      return () => { clearInterval(timer); this.#tail.stop(); };
    });
  }
  sending(device: string) { return this.#now - (this.#seen.get(device) ?? 0) < fresh; }
}
