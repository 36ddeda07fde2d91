// Numbers and times for people.

/** 0.42, 4.2, 42, 4 200, 4.2 M: three to five characters and a unit. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 1e9) return `${trimmed(value / 1e9, 2)} G`;
  if (size >= 1e6) return `${trimmed(value / 1e6, 2)} M`;
  if (size >= 100) return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, '\u202f');
  return trimmed(value, size >= 10 ? 1 : 2);
}
const trimmed = (value: number, digits: number) => String(Number(value.toFixed(digits)));

/** Times that never were are 0001-01-01 in the hub's documents. */
export const happened = (text: unknown): text is string => typeof text === 'string' && text !== '' && !text.startsWith('0001-');

/** As the hub writes them; without a zone it means UTC. */
export const parseTime = (text: string) => Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : text + 'Z');

export function ago(text: unknown, now = Date.now()): string {
  if (!happened(text)) return 'never';
  const seconds = Math.round((now - parseTime(text)) / 1000);
  if (!Number.isFinite(seconds)) return String(text);
  if (seconds < 5) return 'now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

const pad = (value: number, digits = 2) => String(value).padStart(digits, '0');
/** Local time of day with milliseconds. */
export function clock(text: unknown): string {
  if (!happened(text)) return '';
  const at = new Date(parseTime(text));
  return Number.isNaN(at.getTime()) ? String(text) : `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
}
/** Local date and time. */
export function moment(text: unknown): string {
  if (!happened(text)) return '–';
  const at = new Date(parseTime(text));
  if (Number.isNaN(at.getTime())) return String(text);
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

/** A text in the query language. */
export const quoted = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`;

/** The condition behind the filter box: a bare word is part of a name, anything else is the query language's. */
export function condition(filter: string): string {
  const text = filter.trim();
  if (/^[A-Za-z0-9_.:-]*$/.test(text)) return text ? `CONTAINS(deviceId, ${quoted(text)})` : '';
  return text;
}
