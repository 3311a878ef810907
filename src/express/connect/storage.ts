import { Logger } from '@nestjs/common';
import { SessionOptionsError } from '../../errors.js';
import { checkedOptions, type OptionRules } from '../../rules.js';
import { LocalLocks } from '../../storage/local-locks.js';
import type { SessionRecord } from '../../storage/record.js';
import {
  type Expectation,
  type LockOptions,
  type RecordPage,
  type SessionChange,
  type SessionLease,
  SessionStorage,
  type UpdateResult,
} from '../../storage/session-storage.js';
import { StoreCalls } from './calls.js';
import { LateWrites } from './late-writes.js';
import { changedBy, isAsExpected, recordFrom, storedFrom } from './record.js';
import { CONNECT_STORE, type ConnectStore, DEFAULT_TIMEOUT, isConnectStore, TIMEOUT } from './store.js';

/** What `new ConnectStorage(store, options)` takes. Everything has a default. */
export interface ConnectStorageOptions {
  /** Longest time of one call in milliseconds; then the request gets its 503. Default 1,000. */
  readonly timeout?: number | undefined;
}

const OPTIONS: OptionRules<ConnectStorageOptions> = { timeout: TIMEOUT };

/**
 * Any store of express-session as a storage: MongoDB, DynamoDB, Firestore, files and whatever else there is one for.
 *
 * Such a store knows only whole sessions, so that what one process of the application can promise, several cannot:
 * between processes parallel writes may be lost, a slow request may bring a session back that was logged out, and locks
 * do not hold. It says so in the log; `docs/express-stores.md` has the list.
 *
 * @example
 * SessionModule.forRoot({ storage: new ConnectStorage(MongoStore.create({ client })) })
 */
export class ConnectStorage extends SessionStorage {
  private readonly calls: StoreCalls;
  private readonly lines = new LocalLocks();
  private readonly late: LateWrites;
  private hasWarned = false;

  /**
   * @param store stays the caller's: the storage neither closes nor changes it
   * @throws {SessionOptionsError} when it is no store, or an option is unknown or wrong
   */
  constructor(store: ConnectStore, options: ConnectStorageOptions = {}) {
    super();
    if (!isConnectStore(store)) {
      throw new SessionOptionsError(
        `ConnectStorage takes ${CONNECT_STORE.takes}; got ${CONNECT_STORE.shows(store)}.`,
      );
    }
    const { timeout = DEFAULT_TIMEOUT } = checkedOptions('ConnectStorage', options, OPTIONS);
    this.calls = new StoreCalls(store, timeout);
    this.late = new LateWrites((handle, record) =>
      this.inTurn(handle, (until) => this.write(handle, record, until)),
    );
    const all = typeof store.all === 'function';
    if (all) {
      this.byUser = async (userId) => (await this.records()).filter((record) => record.userId === userId);
      this.list = (page) => this.page(page);
    }
    if (typeof store.length === 'function') this.count = () => this.calls.length();
    else if (all) this.count = async () => (await this.calls.all()).filter(recordFrom).length;
  }

  create(record: SessionRecord): Promise<boolean> {
    const { handle } = record;
    return this.inTurn(handle, async (until) => {
      const stored = await this.stored(handle, until);
      if (stored !== undefined) {
        const found = recordFrom(stored);
        // What is there and none of ours stays as it is, too.
        if (!found || isLive(found)) return false;
      }
      await this.write(handle, record, until);
      return true;
    });
  }

  read(handle: string): Promise<SessionRecord | undefined> {
    return this.live(handle, this.calls.until());
  }

  update(handle: string, change: SessionChange): Promise<UpdateResult> {
    return this.inTurn(handle, async (until) => {
      const record = await this.live(handle, until);
      if (!record) return 'gone';
      if (change.lease !== undefined && !this.holds(handle, change.lease)) return 'lost';
      if (!isAsExpected(record, change.expected)) return 'conflict';
      await this.write(handle, changedBy(record, change), until);
      return 'ok';
    });
  }

  destroy(handle: string, expected?: Expectation): Promise<boolean> {
    return this.inTurn(handle, async (until) => {
      const stored = await this.stored(handle, until);
      if (stored === undefined) return false;
      const record = recordFrom(stored);
      if (expected && (!record || (isLive(record) && !isAsExpected(record, expected)))) return false;
      await this.write(handle, null, until);
      return !record || isLive(record);
    });
  }

  /** Says once what such a store cannot. */
  override open(): void {
    if (this.hasWarned) return;
    this.hasWarned = true;
    const users = this.byUser ? '' : ' It has no all(), so that the sessions of a user cannot be found.';
    new Logger('ConnectStorage').warn(
      `${this.calls.name} writes whole sessions: that no parallel write is lost, that a logout is final and that locks ` +
        `hold is true within this process only.${users} With several processes take RedisStorage or SqlStorage.`,
    );
  }

  /** Work on one session, when all that came before is done: a store knows no write that depends on anything. */
  private async inTurn<T>(handle: string, work: (until: number) => Promise<T>): Promise<T> {
    const { timeout } = this.calls;
    const until = this.calls.until();
    // No work lasts longer than its turn: its time runs since before.
    const turn = await this.turn(handle, { wait: timeout, hold: timeout });
    try {
      return await work(until);
    } finally {
      await turn.release();
    }
  }

  /** @throws {Error} like a call that was not answered, which is what kept the ones before so long */
  private async turn(handle: string, times: LockOptions): Promise<SessionLease> {
    try {
      return await this.lines.acquire(handle, times);
    } catch (cause) {
      const problem = `did not answer what came before for session ${handle} within ${times.wait} ms`;
      throw new Error(`${this.calls.name} ${problem}`, { cause });
    }
  }

  private async stored(handle: string, until: number): Promise<unknown> {
    const stored = await this.calls.get(handle, until);
    return this.late.hasEnded(handle) ? undefined : stored;
  }

  private async live(handle: string, until: number): Promise<SessionRecord | undefined> {
    const stored = await this.stored(handle, until);
    if (stored === undefined) return undefined;
    const record = recordFrom(stored);
    if (!record) this.notify({ type: 'corrupt', handle });
    return record && isLive(record) ? record : undefined;
  }

  /** @param record null: it is removed */
  private async write(handle: string, record: SessionRecord | null, until: number): Promise<void> {
    const onLate = (answered: Promise<void>) => this.late.add(handle, answered);
    // Some stores give a session that has expired a lifetime of their own.
    if (!record || !isLive(record)) await this.calls.destroy(handle, until, onLate);
    else await this.calls.set(handle, storedFrom(record), until, onLate);
    this.late.written(handle, record);
  }

  private async records(): Promise<SessionRecord[]> {
    const records = (await this.calls.all()).map(recordFrom);
    return records.filter(
      (record): record is SessionRecord =>
        record !== undefined && isLive(record) && !this.late.hasEnded(record.handle),
    );
  }

  private async page({
    limit,
    cursor = '',
  }: Parameters<NonNullable<SessionStorage['list']>>[0]): Promise<RecordPage> {
    const records = (await this.records()).filter(({ handle }) => handle > cursor);
    const page = records.sort((a, b) => (a.handle < b.handle ? -1 : 1)).slice(0, Math.max(limit, 1));
    return { records: page, cursor: page.length < records.length ? page.at(-1)!.handle : undefined };
  }
}

const isLive = ({ expiresAt }: SessionRecord): boolean => Date.now() < expiresAt;
