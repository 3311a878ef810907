import type { SessionSettings } from '../nest/session.options.js';
import { SessionValues } from './values.js';
import type { SessionRecord } from '../storage/record.js';

/**
 * Where a session stands:
 * - `new`: nothing is stored yet, and nothing will be until something is written;
 * - `stored`: a record stands for it;
 * - `gone`: the record ended elsewhere; nothing is written any more.
 */
export type SessionStatus = 'new' | 'stored' | 'gone';

/** What the response has to tell the browser: nothing, the id (again), or to forget it. */
export type CookieDue = 'none' | 'issue' | 'renew' | 'clear';

/** The request that a session came with. */
export interface SessionCarrier {
  /** The headers are out: no cookie can be set any more. */
  readonly sealed: boolean;
}

/** When a session ends whatever happens: counted from the login, or else from the start (S20). */
export function absoluteDeadline(
  { authenticatedAt, createdAt }: Pick<SessionRecord, 'authenticatedAt' | 'createdAt'>,
  settings: SessionSettings,
): number {
  return (authenticatedAt ?? createdAt) + settings.absoluteTtl;
}

/** What one holder knows of one session. `Session` shows it, `SessionLifecycle` changes it. */
export class SessionState {
  status: SessionStatus = 'new';
  /** Started by this holder rather than loaded. */
  startedHere = true;
  /** The whole id, where it is known: a new visitor gets one when it is first asked for. */
  id: string | undefined;
  handle: string | undefined;
  proof = '';
  version = 0;
  createdAt: number;
  touchedAt: number;
  expiresAt: number;
  authenticatedAt: number | undefined;
  /** Own idle timeout in milliseconds. */
  ttl: number | undefined;
  ttlChanged = false;
  userId: string | undefined;
  values: SessionValues;

  cookieDue: CookieDue = 'none';
  /** What carries this session to the client: it renews the cookie, and ends the flashes of the request before. */
  carrier: SessionCarrier | undefined;
  /** The client sent this session's id with this request. */
  cameByCookie = false;
  /** This request's use is written, or could not be: once is enough. */
  useNoted = false;
  /** Somebody else rotated the session: the id known here is dead. */
  rotatedElsewhere = false;
  /** Token of the lease that the writes of this holder depend on (`@SessionLock`). */
  lease: string | undefined;
  /** The write under way, which the next one waits for. */
  writing: PromiseLike<unknown> | undefined;

  constructor(values: SessionValues, now: number, ttl: number) {
    this.values = values;
    this.createdAt = now;
    this.touchedAt = now;
    this.expiresAt = now + ttl;
  }

  /** Takes over what a storage holds. */
  take(record: SessionRecord): void {
    this.status = 'stored';
    this.handle = record.handle;
    this.proof = record.proof;
    this.version = record.version;
    this.createdAt = record.createdAt;
    this.touchedAt = record.touchedAt;
    this.expiresAt = record.expiresAt;
    this.authenticatedAt = record.authenticatedAt;
    if (!this.ttlChanged) this.ttl = record.ttl;
    this.userId = record.userId;
  }

  /** Idle timeout in milliseconds. */
  idle(settings: SessionSettings): number {
    return this.ttl ?? settings.ttl;
  }

  /** When the session ends if it is used now: the earlier of both deadlines (S21). */
  deadline(settings: SessionSettings, now: number): number {
    return Math.min(now + this.idle(settings), absoluteDeadline(this, settings));
  }

  /** Whether its use now is to be written: not sooner than `touchAfter`, in proportion for a shorter idle timeout. */
  touchDue(settings: SessionSettings, now: number): boolean {
    const share = this.ttl === undefined ? 1 : Math.min(1, this.ttl / settings.ttl);
    return now - this.touchedAt >= settings.touchAfter * share;
  }
}
