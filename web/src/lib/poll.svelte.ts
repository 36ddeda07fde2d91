// Something the hub is asked for again and again while a component shows it. Rests while nobody looks at the tab.
import { untrack } from 'svelte';

export class Poll<T> {
  value = $state.raw<T>();
  failure = $state.raw<Error>();
  #load: () => Promise<T>;
  #interval: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #round = 0;
  #over = false;

  /** To be made while a component is set up. `load` may read state; call refresh() when that changed. */
  constructor(load: () => Promise<T>, interval: number) {
    this.#load = load;
    this.#interval = interval;
    $effect(() => {
      untrack(() => void this.refresh()); // what `load` reads starts nothing by itself
      const seen = () => { if (!document.hidden) void this.refresh(); };
      document.addEventListener('visibilitychange', seen);
      return () => {
        document.removeEventListener('visibilitychange', seen);
        clearTimeout(this.#timer);
        this.#over = true;
      };
    });
  }

  refresh = async () => {
    if (this.#over) return;
    const round = ++this.#round;
    clearTimeout(this.#timer);
    try {
      const value = await this.#load();
      if (this.#over || round !== this.#round) return;
      this.value = value;
      this.failure = undefined;
    } catch (error) {
      if (this.#over || round !== this.#round) return;
      this.failure = error as Error;
    }
    if (!document.hidden) this.#timer = setTimeout(this.refresh, this.#interval);
  };
}
