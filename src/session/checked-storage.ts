import { after, type Awaitable, isThenable } from '../awaitable.js';
import { SessionError } from '../errors.js';
import { SessionLockError, SessionStorageError } from '../errors.http.js';
import type { SessionRecord } from '../storage/record.js';
import type {
  Expectation,
  RecordPage,
  SessionChange,
  SessionLease,
  SessionStorage,
  UpdateResult,
} from '../storage/session-storage.js';
import { isLive } from './deadlines.js';
import type { Encoded, Text } from './encoded.js';
import type { SessionEvents, StorageOperation } from './events.js';
import type { SessionSettings } from './settings.js';

/** How many modules use a storage: the first one opens it, the last one closes it. */
const users = new WeakMap<SessionStorage, number>();

/** What a storage that is asked how it is must answer within, in milliseconds: the caller is told within a second. */
const PING_PATIENCE = 900;
/** A handle that no session has. */
const NOBODY = 'ping.ping.ping.ping.pi';

/**
 * The storage as the library calls it, and the only place that does. What it fails with becomes a
 * `SessionStorageError`, a 503 (S51); a record that is not of the contract's shape counts as absent (S49), and so
 * does one that has expired. What can be done without waiting is done without a promise.
 */
export class CheckedStorage {
  /** How many sessions have ended in this process, or were told to have ended elsewhere. */
  ends = 0;
  private readonly unsubscribe: () => void;

  constructor(
    private readonly storage: SessionStorage,
    readonly settings: SessionSettings,
    readonly events: SessionEvents,
  ) {
    this.unsubscribe = storage.subscribe(({ type, handle, userId }) => {
      if (type === 'evicted')
        events.warnOnce('The session storage is full: it evicts sessions, those without a user first');
      this.ends++;
      events.emit(type, handle, userId);
    });
  }

  /** @param quietly no event: it is none of a new session, or one that has an event of its own */
  create(record: SessionRecord, quietly?: 'quietly'): Awaitable<boolean> {
    return after(
      this.call('create', () => this.storage.create(this.sealed(record.handle, record)), record.handle),
      (created) => {
        if (created && !quietly) this.events.emit('created', record.handle, record.userId);
        return created;
      },
    );
  }

  /** The live record of a handle. */
  read(handle: string): Awaitable<SessionRecord | undefined> {
    return after(
      this.call('read', () => this.storage.read(handle), handle),
      (record) => this.checked(record, handle),
    );
  }

  update(handle: string, change: SessionChange): Awaitable<UpdateResult> {
    return after(
      this.call('update', () => this.storage.update(handle, this.sealed(handle, change)), handle),
      (result) => {
        if (result === 'ok' || result === 'gone' || result === 'conflict' || result === 'lost') return result;
        const problem = `update() answered ${String(result)}; it answers 'ok', 'gone', 'conflict' or 'lost'.`;
        return this.fail(new TypeError(problem));
      },
    );
  }

  destroy(handle: string, expected?: Expectation, userId?: string): Awaitable<boolean> {
    return after(
      this.call('destroy', () => this.storage.destroy(handle, expected), handle),
      (destroyed) => {
        if (destroyed) {
          this.ends++;
          this.events.emit('destroyed', handle, userId);
        }
        return destroyed;
      },
    );
  }

  purgeExpired(limit: number): Awaitable<number> {
    return this.storage.purgeExpired ? this.call('purgeExpired', () => this.storage.purgeExpired!(limit)) : 0;
  }

  count(): Awaitable<number> {
    this.need('count');
    return this.call('count', () => this.storage.count!());
  }

  /** The live records of a user. */
  byUser(userId: string): Awaitable<SessionRecord[]> {
    this.need('byUser');
    return after(
      this.call('byUser', () => this.storage.byUser!(userId)),
      (records) => {
        if (!Array.isArray(records)) return this.fail(new TypeError('byUser() answered no list.'));
        return (records as SessionRecord[]).filter(
          (record) => this.checked(record, record?.handle)?.userId === userId,
        );
      },
    );
  }

  /** A page of live records. */
  list(page: { limit: number; cursor?: string | undefined }): Awaitable<RecordPage> {
    this.need('list');
    return after(
      this.call('list', () => this.storage.list!(page)),
      (answer) => {
        if (!Array.isArray(answer?.records)) return this.fail(new TypeError('list() answered no page.'));
        const { records, cursor } = answer;
        return { records: records.filter((record) => this.checked(record, record?.handle)), cursor };
      },
    );
  }

  /** Which of these handles have a live record. */
  alive(handles: readonly string[]): Awaitable<readonly string[]> {
    if (this.storage.alive) return this.call('alive', () => this.storage.alive!(handles));
    return this.readAll(handles);
  }

  /** @throws {SessionStorageError} unless the storage answers within a second */
  async ping(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${PING_PATIENCE} ms`)), PING_PATIENCE);
    });
    const { storage } = this;
    const answer = async () => (storage.ping ? storage.ping() : storage.read(NOBODY));
    try {
      await this.call('ping', () => Promise.race([late, answer()]));
    } finally {
      clearTimeout(timer);
    }
  }

  /** @throws {SessionLockError} when the wait is over */
  lock(handle: string): Awaitable<SessionLease> {
    return this.call('lock', () => this.storage.lock(handle, this.settings.lock), handle);
  }

  /** What was written stands, so a release that fails is no failure: the lease ends by itself. */
  async release(lease: SessionLease): Promise<void> {
    try {
      await this.call('release', () => lease.release());
    } catch {
      // It is in the log.
    }
  }

  async open(): Promise<void> {
    const before = users.get(this.storage) ?? 0;
    users.set(this.storage, before + 1);
    if (before === 0) await this.storage.open();
  }

  async close(): Promise<void> {
    this.unsubscribe();
    const left = (users.get(this.storage) ?? 0) - 1;
    users.set(this.storage, Math.max(left, 0));
    if (left <= 0) await this.storage.close();
  }

  /** The encoded values of a record that was read. */
  dataOf(record: Pick<SessionRecord, 'handle' | 'data'>): Encoded {
    return this.settings.encryption?.openData(record) ?? record.data;
  }

  /** What is known of the client, encoded. */
  clientOf({ handle, client }: SessionRecord): Text | undefined {
    const { encryption } = this.settings;
    return client !== undefined && encryption ? encryption.openClient(client, handle) : client;
  }

  private sealed<T extends SessionRecord | SessionChange>(handle: string, texts: T): T {
    return this.settings.encryption?.sealAll(handle, texts) ?? texts;
  }

  /** A record that was read, if it is sound and lives. */
  private checked(record: SessionRecord | undefined, handle: string): SessionRecord | undefined {
    if (record === undefined) return undefined;
    if (hasShape(record) && record.handle === handle) {
      return isLive(Date.now(), record, this.settings) ? record : undefined;
    }
    this.events.emit('corrupt', typeof handle === 'string' ? handle : undefined);
    return undefined;
  }

  private async readAll(handles: readonly string[]): Promise<string[]> {
    const alive: string[] = [];
    for (let i = 0; i < handles.length; i += 10) {
      const page = handles.slice(i, i + 10);
      const records = await Promise.all(page.map((handle) => this.read(handle)));
      for (const record of records) if (record) alive.push(record.handle);
    }
    return alive;
  }

  /** @throws {SessionError} unless the storage has what it may lack */
  need(method: 'count' | 'byUser' | 'list'): void {
    if (this.storage[method]) return;
    throw new SessionError(
      `${this.storage.constructor.name} has no ${method}(), which this call needs; use a storage that has it.`,
    );
  }

  private call<T>(operation: StorageOperation, work: () => Awaitable<T>, handle?: string): Awaitable<T> {
    const since = this.events.calls.observed ? performance.now() : undefined;
    try {
      const answer = work();
      if (!isThenable(answer)) return this.answered(operation, since, answer);
      return answer.then(
        since === undefined ? undefined : (value) => this.answered(operation, since, value),
        (error: unknown) => this.failed(operation, since, error, handle),
      );
    } catch (error) {
      return this.failed(operation, since, error, handle);
    }
  }

  private answered<T>(operation: StorageOperation, since: number | undefined, answer: T): T {
    if (since !== undefined)
      this.events.called(operation, REFUSALS.has(answer) ? String(answer) : 'ok', since);
    return answer;
  }

  private failed(
    operation: StorageOperation,
    since: number | undefined,
    error: unknown,
    handle?: string,
  ): never {
    if (since !== undefined) this.events.called(operation, 'error', since);
    return this.fail(error, handle);
  }

  /** The client learns nothing of the reason, so the log must. */
  private fail(error: unknown, handle?: string): never {
    // The caller's own mistake, such as a cursor that no page had.
    if (error instanceof SessionError && error.code === SessionError.code) throw error;
    if (error instanceof SessionLockError) {
      this.events.warn(error.message);
      throw new SessionLockError(error.message, { cause: error });
    }
    this.events.emit('unavailable', handle);
    this.events.error('The session storage failed', error);
    throw new SessionStorageError(error);
  }
}

/** What `update` answers where it changes nothing. */
const REFUSALS: ReadonlySet<unknown> = new Set(['gone', 'conflict', 'lost']);

/** Whether a record is what the contract says: a storage may hold what anybody wrote into it. */
function hasShape(record: SessionRecord): boolean {
  if (typeof record !== 'object' || record === null) return false;
  const { proof, createdAt, touchedAt, expiresAt, authenticatedAt, ttl, userId, client, data } = record;
  return (
    typeof proof === 'string' &&
    Number.isFinite(createdAt) &&
    Number.isFinite(touchedAt) &&
    Number.isFinite(expiresAt) &&
    (authenticatedAt === undefined || Number.isFinite(authenticatedAt)) &&
    (ttl === undefined || Number.isFinite(ttl)) &&
    (userId === undefined || typeof userId === 'string') &&
    (client === undefined || typeof client === 'string') &&
    typeof data === 'object' &&
    data !== null
  );
}
