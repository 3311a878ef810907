import type { SessionRecord } from '../record.js';
import { decodeData, decodeText, encodeData, encodeText } from './encoding.js';
import type { Row, Value } from './port.js';
import type { UserColumn } from './users.js';

/** What the statements take and give as no user, client or time. */
export const NO_TEXT = '';
export const NO_NUMBER = -1;

/** Times are whole milliseconds, also where a deadline was reckoned from a fraction. */
export const whole = Math.round;

const orNull = <T, R>(value: T | undefined, write: (value: T) => R): R | null =>
  value === undefined ? null : write(value);

/** Values for `create`. */
export function rowOf(record: SessionRecord, users: UserColumn): Record<string, Value> {
  const { handle, proof, createdAt, touchedAt, expiresAt, authenticatedAt, ttl, userId, client, data } =
    record;
  return {
    handle,
    proof,
    createdAt: whole(createdAt),
    touchedAt: whole(touchedAt),
    expiresAt: whole(expiresAt),
    authenticatedAt: orNull(authenticatedAt, whole),
    ttl: orNull(ttl, whole),
    user: orNull(userId, users.value),
    client: orNull(client, encodeText),
    data: encodeData(data),
  };
}

/**
 * A record as it was read. What lies in a database may have been put there by anybody.
 *
 * @throws {Error} on a column that no session has (S49)
 */
export function recordOf(row: Row, users: UserColumn): SessionRecord {
  const { proof, authenticated_at, ttl, client } = row;
  return {
    handle: text(row['handle']),
    proof: text(proof),
    createdAt: timeOf(row['created_at']),
    touchedAt: timeOf(row['touched_at']),
    expiresAt: timeOf(row['expires_at']),
    authenticatedAt: isNull(authenticated_at) ? undefined : timeOf(authenticated_at),
    ttl: isNull(ttl) ? undefined : timeOf(ttl),
    userId: users.of(row),
    client: isNull(client) ? undefined : decodeText(text(client)),
    data: decodeData(row['data']),
  };
}

const isNull = (column: unknown): boolean => column === null || column === undefined;

function text(column: unknown): string {
  if (typeof column === 'string') return column;
  throw new Error('no text');
}

/** Drivers give a bigint as a number, as a text or as what it is. */
export function timeOf(column: unknown): number {
  const number = Number(column);
  if (Number.isSafeInteger(number)) return number;
  throw new Error('no time');
}
