// Counters that only rise, read now and then, as rates.

export interface Sample { at: number; received: number; acked: number; captured: number } // at: ms

export interface Rates { at: number; received: number | null; acked: number | null; captured: number | null } // a second; at: s

/** Null where nothing can be said: no sample before, a gap, or counters that began anew. */
export function ratesBetween(before: Sample | undefined, now: Sample, longestGap = 15_000): Rates {
  const at = now.at / 1000;
  if (!before || now.at <= before.at || now.at - before.at > longestGap) return { at, received: null, acked: null, captured: null };
  const seconds = (now.at - before.at) / 1000;
  const rate = (name: 'received' | 'acked' | 'captured') => (now[name] < before[name] ? null : (now[name] - before[name]) / seconds);
  return { at, received: rate('received'), acked: rate('acked'), captured: rate('captured') };
}
