import type { SessionRecord } from '../storage/record.js';
import type { SessionSettings } from './settings.js';

/*
 * All arithmetic of time. Everything is milliseconds, points in time since the Unix epoch.
 */

type Timeouts = Pick<SessionSettings, 'ttl' | 'absoluteTtl' | 'touchAfter'>;
type Start = Pick<SessionRecord, 'createdAt' | 'authenticatedAt'>;
type Life = Start & Pick<SessionRecord, 'ttl'>;

/** When a session ends whatever happens: counted from the login, or else from the start (S20). */
export function absoluteDeadline({ authenticatedAt, createdAt }: Start, { absoluteTtl }: Timeouts): number {
  return (authenticatedAt ?? createdAt) + absoluteTtl;
}

/** When a session ends if it is used now and not again: the earlier of both deadlines (S21). */
export function deadline(now: number, life: Life, timeouts: Timeouts): number {
  return Math.min(now + (life.ttl ?? timeouts.ttl), absoluteDeadline(life, timeouts));
}

/** Neither deadline has come (S20, S21). */
export function isLive(now: number, record: SessionRecord, timeouts: Timeouts): boolean {
  return now < record.expiresAt && now < absoluteDeadline(record, timeouts);
}

/** Whether a use now is to be written: not sooner than `touchAfter`, in proportion for a shorter idle timeout (S23). */
export function isTouchDue(
  now: number,
  { ttl, touchedAt }: Pick<SessionRecord, 'ttl' | 'touchedAt'>,
  timeouts: Timeouts,
): boolean {
  const share = ttl === undefined ? 1 : Math.min(1, ttl / timeouts.ttl);
  return now - touchedAt >= timeouts.touchAfter * share;
}
