// What came of an action: a line at the foot of the window. Failures stay until they are dismissed.
import { HubError } from './hub';

interface Notice { id: number; text: string; bad: boolean }

export function sentence(error: unknown): string {
  if (!(error instanceof HubError)) return (error as Error).message;
  const what = [error.status || '', error.code].filter(Boolean).join(' ');
  return what ? `${error.message} (${what})` : error.message;
}

class Notices {
  list = $state<Notice[]>([]);
  #last = 0;

  say(text: string, bad = false) {
    const id = ++this.#last;
    this.list = [...this.list.slice(-3), { id, text, bad }];
    if (!bad) setTimeout(() => this.dismiss(id), 4000);
  }
  dismiss(id: number) { this.list = this.list.filter((notice) => notice.id !== id); }

  /** Runs an action; says what it did, or why not. True if it went well. */
  async attempt(action: () => Promise<unknown>, done = ''): Promise<boolean> {
    try {
      await action();
      if (done) this.say(done);
      return true;
    } catch (error) {
      this.say(sentence(error), true);
      return false;
    }
  }
}

export const notices = new Notices();
