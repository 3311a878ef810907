import type { SessionRecord } from '../record.js';
import type { Expectation, SessionChange } from '../session-storage.js';
import { whole } from './record-row.js';

/** What the statements say in SQL, for a record that was read. */
export function isAsExpected(record: SessionRecord, expected: Expectation = {}): boolean {
  const { proof, ttl, userId } = expected;
  return (
    (proof === undefined || proof === record.proof) &&
    (ttl === undefined || (ttl === null ? undefined : whole(ttl)) === record.ttl) &&
    (userId === undefined || (userId ?? undefined) === record.userId)
  );
}

/** Whether a record is as the change would make it. */
export function changesNothing(record: SessionRecord, change: SessionChange): boolean {
  const { set = {}, remove = [], proof, userId, client } = change;
  return (
    Object.keys(set).every((key) => Object.hasOwn(record.data, key) && record.data[key] === set[key]) &&
    !remove.some((key) => Object.hasOwn(record.data, key)) &&
    (proof === undefined || proof === record.proof) &&
    (userId === undefined || (userId ?? undefined) === record.userId) &&
    (client === undefined || (client ?? undefined) === record.client) &&
    (['touchedAt', 'expiresAt', 'authenticatedAt', 'ttl'] as const).every((name) => {
      const time = change[name];
      return time === undefined || (time === null ? undefined : whole(time)) === record[name];
    })
  );
}
