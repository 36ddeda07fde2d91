// Who is signed in, and what the policy may. The key lives in this tab only.
import { parseConnection } from './connection';
import { Hub, HubError } from './hub';

const kept = 'nacelle-connection';

class Session {
  hub = $state.raw<Hub>();
  registry = $state(false); // may read the registry and statistics
  service = $state(false); // may use twins, methods, events, routes
  busy = $state(false);
  failure = $state('');

  async signIn(text: string) {
    this.failure = '';
    this.busy = true;
    try {
      const hub = new Hub(parseConnection(text));
      const may = (path: string) => hub.get(path).then(() => true, (error: HubError) => { if (error.lacksRight) return false; throw error; });
      [this.registry, this.service] = await Promise.all([may('/statistics/devices'), may('/endpoints')]);
      if (!this.registry && !this.service) throw new Error(`The policy '${hub.connection.policy}' has none of the rights that the console needs: RegistryRead or ServiceConnect.`);
      sessionStorage.setItem(kept, text);
      this.hub = hub;
    } catch (error) {
      sessionStorage.removeItem(kept);
      const refused = error instanceof HubError && error.status === 401;
      this.failure = (refused ? 'The hub refused this connection string: ' : '') + (error as Error).message;
    } finally {
      this.busy = false;
    }
  }

  signOut() {
    sessionStorage.removeItem(kept);
    this.hub = undefined;
    this.failure = '';
  }

  /** From the link that `nacelle console` gives (the fragment is taken out of the address at once), or an earlier load of this tab. */
  async resume() {
    const given = /^#connect=(.+)$/.exec(location.hash)?.[1];
    if (given) history.replaceState(null, '', location.pathname + '#/');
    let text = sessionStorage.getItem(kept) ?? '';
    if (given) try { text = decodeURIComponent(given); } catch { text = given; }
    if (text) await this.signIn(text);
  }
}

export const session = new Session();
