import { randomBytes } from 'node:crypto';
import type { SessionRecord } from '../../../../src/storage/record.js';

export const newHandle = (): string => randomBytes(16).toString('base64url');

/** A session that lasts an hour. */
export function newRecord(fields: Partial<SessionRecord> = {}): SessionRecord {
  const now = Date.now();
  return {
    handle: newHandle(),
    proof: randomBytes(32).toString('base64url'),
    createdAt: now,
    touchedAt: now,
    expiresAt: now + 3_600_000,
    data: { visits: '1' },
    ...fields,
  };
}

export const newPrefix = (): string => `test:${randomBytes(6).toString('hex')}:`;
