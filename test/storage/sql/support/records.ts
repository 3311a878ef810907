import { randomBytes } from 'node:crypto';
import type { SessionRecord } from '../../../../src/storage/record.js';

export const HOUR = 3_600_000;

export const newHandle = (): string => randomBytes(16).toString('base64url');
export const newProof = (): string => randomBytes(32).toString('base64url');

/** A session that lasts an hour. */
export function newRecord(fields: Partial<SessionRecord> = {}): SessionRecord {
  const now = Date.now();
  return {
    handle: newHandle(),
    proof: newProof(),
    createdAt: now,
    touchedAt: now,
    expiresAt: now + HOUR,
    data: { visits: '1' },
    ...fields,
  };
}

export const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));
