import { Subject } from 'rxjs';
import type { SessionStorage } from '../storage/session-storage.js';

/** What can happen to a session. */
export type SessionEventType =
  | 'created'
  /** It got a new secret: the old id is dead. */
  | 'rotated'
  | 'destroyed'
  | 'expired'
  /** A full memory storage made room. */
  | 'evicted'
  /** A client sent an id that is malformed, unknown, forged or expired, or several live ones (S5, S43). */
  | 'rejected'
  /** A request wanted to write to a session that had ended, or gone to another user, meanwhile. */
  | 'gone'
  /** A rotation came second, or a lock was lost: nothing was written. */
  | 'conflict'
  /** What is stored could not be read; it counts as absent (S49). */
  | 'corrupt'
  /** The storage failed where no caller is told, as when only the touch was to be written. */
  | 'failed'
  /** A call of the storage failed; whoever made it is told as well. */
  | 'unavailable'
  /** A cross-origin request was refused, or would have been in mode `'log'` (S61). */
  | 'refused'
  /** A session of another library became one of ours (S70). */
  | 'imported';

/** One event. It never holds an id: the handle names the session (S5, S50). */
export interface SessionEvent {
  readonly type: SessionEventType;
  readonly handle?: string | undefined;
  readonly userId?: string | undefined;
  /** With `corrupt`: the key whose value could not be read; undefined if it was the record. */
  readonly key?: string | undefined;
  /** With `corrupt`, where what is stored does not fit the schema: the paths of what does not. */
  readonly issues?: readonly string[] | undefined;
  readonly at: Date;
}

/** What the library asks of a storage; `release` is of a lock. */
export type StorageOperation = Exclude<keyof SessionStorage, 'open' | 'close' | 'subscribe'> | 'release';

/** One call of the storage, as it ended. It says nothing of whose session it was. */
export interface StorageCall {
  readonly operation: StorageOperation;
  /** `'ok'`, `'error'`, or what `update` answers where it changes nothing: `'gone'`, `'conflict'`, `'lost'`. */
  readonly result: string;
  /** How long it took, in seconds; of `lock`, the waiting too. */
  readonly seconds: number;
}

/** Where lines for people go. */
export interface SessionLog {
  error(text: string, stack?: string): void;
  warn(text: string): void;
}

/** How the library speaks to the application: events for programs, log lines for people. */
export class SessionEvents {
  readonly subject = new Subject<SessionEvent>();
  /** Every call of the storage. Nothing is measured while nobody listens. */
  readonly calls = new Subject<StorageCall>();
  private readonly said = new Set<string>();

  constructor(private readonly log: SessionLog) {}

  emit(
    type: SessionEventType,
    handle?: string,
    userId?: string,
    more?: Pick<SessionEvent, 'key' | 'issues'>,
  ): void {
    if (this.subject.observed) this.subject.next({ type, handle, userId, ...more, at: new Date() });
  }

  /** @param since of `performance.now()` */
  called(operation: StorageOperation, result: string, since: number): void {
    this.calls.next({ operation, result, seconds: (performance.now() - since) / 1_000 });
  }

  warn(text: string): void {
    this.log.warn(text);
  }

  /** Warns once per text, so that what every request meets does not fill the log. */
  warnOnce(text: string): void {
    if (this.said.has(text)) return;
    this.said.add(text);
    this.log.warn(`${text} (said once)`);
  }

  error(text: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.log.error(`${text}: ${reason}`, (error as Error | undefined)?.stack);
  }
}
