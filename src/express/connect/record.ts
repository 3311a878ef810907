import { RecordData, type SessionRecord } from '../../storage/record.js';
import type { Expectation, SessionChange } from '../../storage/session-storage.js';
import { Cookie } from './shim.js';

/** What rests in a store: the cookie that it takes the lifetime from, and the record as one text. */
export interface StoredSession {
  readonly cookie: Cookie;
  readonly record: string;
}

/**
 * A record for a store: a new object each time, as stores change what they are given. The record is one text of ASCII:
 * databases refuse or change keys with dots, `$` and `__proto__`, NUL and half characters, dates and what is undefined.
 */
export function storedFrom(record: SessionRecord): StoredSession {
  const expires = new Date(record.expiresAt);
  // Some stores reckon from `expires`, some from `maxAge`, and some from `originalMaxAge` and the time of the write.
  const originalMaxAge = Math.max(record.expiresAt - Date.now(), 1);
  return { cookie: new Cookie({ expires, originalMaxAge }), record: ascii(JSON.stringify(record)) };
}

/** The record of what a store gave; undefined if that is none of ours, or damaged. */
export function recordFrom(stored: unknown): SessionRecord | undefined {
  try {
    const { data, ...fields } = JSON.parse((stored as StoredSession).record) as SessionRecord;
    if (typeof fields.handle !== 'string' || !Number.isFinite(fields.expiresAt)) return undefined;
    // `__proto__` is a key of the text like any other, and stays one (S48).
    return { ...fields, data: Object.assign(new RecordData(), data) };
  } catch {
    return undefined;
  }
}

/** The record after a change. */
export function changedBy(record: SessionRecord, change: SessionChange): SessionRecord {
  const { set, remove = [], expected: _expected, lease: _lease, ...fields } = change;
  const data: Record<string, string> = Object.assign(new RecordData(), record.data, set);
  for (const key of remove) delete data[key];
  const changed = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  const next = Object.entries({ ...record, ...changed }).filter(([, value]) => value !== null);
  return { ...(Object.fromEntries(next) as unknown as SessionRecord), data };
}

/** Whether what must hold of a record does. */
export function isAsExpected(record: SessionRecord, expected: Expectation = {}): boolean {
  return (['proof', 'ttl', 'userId'] as const).every(
    (field) => expected[field] === undefined || expected[field] === (record[field] ?? null),
  );
}

const ascii = (json: string): string =>
  json.replaceAll(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
