import type { SessionRecord } from '../storage/record.js';
import type { CheckedStorage } from './checked-storage.js';
import type { SessionEventType } from './events.js';
import { newHandle, newSecret, type ParsedId, proofOf } from './id.js';
import { ValueCodec } from './value-codec.js';
import { SessionValues } from './values.js';

/** The exchange that a session came with, as far as the session has to know it. */
export interface StateExchange {
  /** The headers are out: the client can be told no id any more. */
  readonly headersSent: boolean;
  /** This request counts as use: it moves the idle deadline and uses flashes up. */
  readonly counts: boolean;
  /** Ends what must not outlive the session of this request. May fail: then the session has not ended either. */
  ending?(): Promise<void>;
  /** What the application says of the client; whatever it gave, or threw. */
  describeClient?(): unknown;
  /** It is a message of a socket: no session can start in it, and no id is known. */
  readonly isMessage?: boolean;
}

/** Data that a caller was told could not be saved. */
export interface Refused {
  readonly error: Error;
  /** What changed, as JSON; or why it cannot be encoded. */
  readonly change: string | undefined;
  readonly ttl: number | null | undefined;
}

/** The facts that one holder has of one session. What follows from them is asked of functions: save.ts, write.ts, rotate.ts, what-to-tell.ts. */
export class SessionState {
  /** The record as this holder last saw it; undefined: nothing is stored. */
  record: SessionRecord | undefined;
  /** The session ended elsewhere, or went to another user: this holder is outside (S27, S56). */
  outside = false;
  /**
   * This holder's own id. A new visitor gets one when it is first asked for; a session found by its handle has none. What
   * is read from the storage never changes it.
   */
  id: string | undefined;
  handle: string | undefined;
  proof = '';
  /** An idle timeout in milliseconds that is wished for and not stored yet; null: the application's own. */
  ttl: number | null | undefined;
  /** This holder moved the deadline, and the client's cookie still has the one of before. */
  hasMoved = false;
  /** Whether this holder has ended a session that it found. */
  hasEnded = false;
  /** What the cookie of a session that it has ended had of its own. */
  endedCookie: object | undefined;
  /** What was refused last when the caller asked to save. */
  refused: Refused | undefined;

  /** The session came with this exchange; undefined where the application loaded it itself. */
  exchange: StateExchange | undefined;
  /** The client sent an id that opens no session. */
  hadSession = false;
  /** Live sessions that came with the same request, when there are several: none of them counts (S43). */
  rivals: readonly SessionState[] = [];
  /** Token of the lease that the writes of this holder depend on (`@SessionLock`). */
  lease: string | undefined;
  /** What is under way, which the next waits for. */
  writing: PromiseLike<unknown> | undefined;

  /** @param startedAt when this holder started it; undefined: it was found */
  constructor(
    readonly storage: CheckedStorage,
    public values: SessionValues,
    public startedAt: number | undefined,
  ) {}

  /** Gives a new session its id, once; a handle that it has stays. */
  name(): void {
    if (this.id !== undefined || this.isHeldByHandle) return;
    this.rename(this.handle ?? newHandle(), newSecret(this.storage.settings.generateId));
  }

  /** Goes on under the id that these parts make. */
  rename(handle: string, secret: string): void {
    this.identify({ id: `${handle}.${secret}`, handle, secret });
  }

  identify({ id, handle, secret }: ParsedId): void {
    this.handle = handle;
    this.id = id;
    this.proof = proofOf(secret);
  }

  emit(type: SessionEventType): void {
    this.storage.events.emit(type, this.handle, this.record?.userId);
  }

  /** Becomes a new visitor's session. */
  restart(): void {
    this.values = initialValues(this.storage);
    this.startedAt = Date.now();
    this.record = this.id = this.handle = this.ttl = this.refused = this.lease = undefined;
    this.proof = '';
    this.outside = this.hasMoved = false;
  }

  /** Whether this holder's id opens the stored session, as far as it knows. One that came by the handle needs none. */
  get isOwner(): boolean {
    if (this.record === undefined || this.outside) return false;
    return this.isHeldByHandle || this.record.proof === this.proof;
  }

  /** Whether this holder was let in by other means than the id, which it does not know. */
  get isHeldByHandle(): boolean {
    return this.record !== undefined && this.id === undefined;
  }
}

/**
 * What a new session starts with, as if it were stored.
 *
 * @param before values whose place they take: what is known of another library's cookie goes on
 */
export function initialValues({ settings }: CheckedStorage, before?: SessionValues): SessionValues {
  const codec = new ValueCodec(settings);
  const values = new SessionValues(codec);
  const foreignCookie = before?.foreignCookie;
  if (!settings.initial && !foreignCookie) return values;
  if (settings.initial) values.assign(settings.initial(), 'SessionModule: what initial() returns');
  if (foreignCookie) values.foreignCookie = foreignCookie;
  return new SessionValues(codec, values.with(values.collect(false)));
}
