// Pages by the address's fragment: #/devices/Client_001/twin.

function parse(hash: string): string[] {
  if (hash.startsWith('#connect=')) return []; // a link that signs in (session.svelte.ts)
  return hash.replace(/^#\/?/, '').split('/').filter(Boolean).map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
}

class Router {
  path = $state.raw(parse(location.hash));
  constructor() {
    addEventListener('hashchange', () => { this.path = parse(location.hash); });
  }
  go(...segments: string[]) { location.hash = link(...segments); }
}

export const link = (...segments: string[]) => '#/' + segments.map(encodeURIComponent).join('/');
export const router = new Router();
