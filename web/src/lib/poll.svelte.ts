// Something the hub is asked for again and again while a component shows it. Rests while nobody looks at the tab.

export class Poll<T> {
  value = $state.raw<T>();
  failure = $state.raw<Error>();
  #load: () => Promise<T>;
  #interval: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #round = 0;

  /** To be made while a component is set up. `load` may read state; call refresh() when that changed. */
  constructor(load: () => Promise<T>, interval: number) {
    this.#load = load;
    this.#interval = interval;
    $effect(() => {
      void this.refresh();
      const seen = () => { if (!document.hidden) void this.refresh(); };
      document.addEventListener('visibilitychange', seen);
      return () => {
        document.removeEventListener('visibilitychange', seen);
        clearTimeout(this.#timer);
        this.#round = -1;
      };
    });
  }

  refresh = async () => {
    if (this.#round < 0) return;
    const round = ++this.#round;
    clearTimeout(this.#timer);
    try {
      const value = await this.#load();
      if (round !== this.#round) return;
      this.value = value;
      this.failure = undefined;
    } catch (error) {
      if (round !== this.#round) return;
      this.failure = error as Error;
    }
    if (!document.hidden) this.#timer = setTimeout(this.refresh, this.#interval);
  };
}
