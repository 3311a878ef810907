import { setImmediate } from 'node:timers/promises';
import { after, type Awaitable } from '../awaitable.js';
import { SessionGoneError } from '../errors.http.js';
import {
  checkedOptions,
  type Duration,
  duration,
  isOptions,
  kindOf,
  milliseconds,
  type OptionRules,
} from '../rules.js';
import type { SessionRecord } from '../storage/record.js';
import type { RecordPage, SessionStorage } from '../storage/session-storage.js';
import { isMark } from './adopt.js';
import { CheckedStorage } from './checked-storage.js';
import type { SessionEvents } from './events.js';
import { isHandle, isOwnId, type ParsedId, parseId, proves } from './id.js';
import { withinLimit } from './limits.js';
import { checkUser, endAll, userRule } from './users.js';
import { alone } from './save.js';
import type { SessionSettings } from './settings.js';
import { initialValues, SessionState } from './state.js';
import { tapAll } from './tap-all.js';
import { type Tap, Turns } from './turns.js';
import { ValueCodec } from './value-codec.js';
import { SessionValues } from './values.js';
import { insert, look } from './write.js';

/** What a session can be created with. */
export interface CreateSession<T = object> {
  /** An id of one's own: 22 to 256 characters of `A–Z a–z 0–9 . _ ~ -`. It must be impossible to guess. */
  id?: string | undefined;
  data?: Partial<T> | undefined;
  /** Starts the session as this user's, logged in now. */
  userId?: string | undefined;
  /** The session's own idle timeout, in seconds or as `'30d'`. */
  ttl?: Duration | undefined;
}

const CREATE: OptionRules<CreateSession> = {
  id: {
    takes: '22 to 256 characters of A–Z a–z 0–9 . _ ~ -',
    accepts: isOwnId,
    // It is a secret.
    shows: (id) => (typeof id === 'string' ? `${id.length} characters` : kindOf(id)),
  },
  data: { takes: 'an object of keys and values', accepts: isOptions },
  userId: userRule,
  ttl: duration,
};

/** Which sessions of a user end. */
export interface DestroyByUser {
  /** Handle of the one that stays. */
  except?: string | undefined;
}

const DESTROY_BY_USER: OptionRules<DestroyByUser> = {
  except: { takes: 'the handle of a session', accepts: isHandle },
};

/** Which page of all sessions. */
export interface ListPage {
  /** About how many, 1 to 1,000. Default 100. */
  limit?: number | undefined;
  /** Of the page before; none: the first page. */
  cursor?: string | undefined;
}

const LIST: OptionRules<ListPage> = {
  limit: {
    takes: 'a whole number from 1 to 1,000',
    accepts: (limit) => Number.isInteger(limit) && (limit as number) >= 1 && (limit as number) <= 1_000,
  },
  cursor: {
    takes: 'the cursor of the page before',
    accepts: (cursor) => typeof cursor === 'string' && /^[!-~]{1,200}$/.test(cursor),
  },
};

/** The sessions of one module: begun, found, created, ended, and those of a user. */
export class Sessions {
  readonly storage: CheckedStorage;
  readonly turns: Turns;

  constructor(
    storage: SessionStorage,
    readonly settings: SessionSettings,
    readonly events: SessionEvents,
  ) {
    this.storage = new CheckedStorage(storage, settings, events);
    this.turns = new Turns(this.storage);
  }

  /** A new visitor's session: nothing is stored until something is written. */
  begin(): SessionState {
    return new SessionState(this.storage, initialValues(this.storage), Date.now());
  }

  /**
   * The session of an id; undefined if the id is malformed, unknown or forged, or the session has ended.
   *
   * @param parsed undefined: the id is malformed
   * @param quietly no event, as no client sent this id
   */
  find(parsed: ParsedId | undefined, quietly?: 'quietly'): Awaitable<SessionState | undefined> {
    if (!parsed) {
      this.events.emit('rejected');
      return undefined;
    }
    return after(this.storage.read(parsed.handle), (record) => {
      if (!record || !proves(parsed.secret, record.proof)) {
        if (!quietly) this.events.emit('rejected', record?.handle);
        return undefined;
      }
      const state = this.stateOf(record);
      state.id = parsed.id;
      state.proof = record.proof;
      return state;
    });
  }

  /** The session of a handle, for whoever was let in by other means than its id; undefined if it has ended. */
  findByHandle(handle: string): Awaitable<SessionState | undefined> {
    return after(this.storage.read(handle), (record) => record && this.stateOf(record));
  }

  /**
   * Stores a new session at once.
   *
   * @throws {SessionExistsError} if an id of one's own is taken; what is stored there stays as it was
   * @throws {SessionLimitError} if the user has as many sessions as there may be (409)
   */
  async create(options: CreateSession): Promise<SessionState> {
    const { id, data, userId, ttl } = checkedOptions('create', options, CREATE);
    const state = this.begin();
    if (id !== undefined) {
      state.identify(parseId(id)!);
    }
    if (data !== undefined) state.values.assign(data, 'create: data');
    if (ttl !== undefined) state.ttl = milliseconds(ttl);
    await withinLimit(state, userId, () =>
      insert(state, state.values.collect(false), { userId }, id === undefined ? undefined : 1),
    );
    return state;
  }

  /** Ends the session, and whatever else is live that the same request brought; goes on as a new visitor's. */
  end(state: SessionState): Promise<void> {
    return alone(state, async () => {
      await state.exchange?.ending?.();
      const { record, outside, handle, startedAt } = state;
      if (record && !outside) {
        const expected = { userId: record.userId ?? null };
        const destroyed = await this.storage.destroy(handle!, expected, record.userId);
        // What this holder started itself, the client was never told of.
        if (destroyed && startedAt === undefined) {
          state.hasEnded = true;
          state.endedCookie = state.values.cookie;
        }
      }
      for (const rival of state.rivals) if (await this.destroy(rival)) state.hasEnded = true;
      state.rivals = [];
      state.restart();
    });
  }

  /** Ends the session that a state was found for, if its id still opens it. */
  destroy({ handle, proof, record }: SessionState): Awaitable<boolean> {
    return this.storage.destroy(handle!, { proof }, record?.userId);
  }

  /** Reads the session anew, and drops what was not saved; false, and all is as it was, if its id opens it no more. */
  reload(state: SessionState): Promise<boolean> {
    return alone(state, async () => {
      if (!state.record || state.outside || !(await look(state)) || !state.isOwner) return false;
      state.values = this.valuesOf(state.record);
      return true;
    });
  }

  /** {@link Turns.tap} for the session of an id. */
  tapById<R>(id: string, fn: Tap<R>): Promise<R> {
    const parsed = parseId(id);
    if (!parsed) return Promise.reject(new SessionGoneError(undefined));
    return this.turns.tapFound(parsed.handle, () => this.find(parsed), fn);
  }

  /** {@link Turns.tap} for the session of a handle; it is no use of it. */
  tapByHandle<R>(handle: string, fn: Tap<R>): Promise<R> {
    if (!isHandle(handle)) return Promise.reject(new SessionGoneError(undefined));
    return this.turns.tapFound(handle, () => this.findByHandle(handle), fn);
  }

  /**
   * {@link Turns.tap} for every session of a user, one after another, those included that the user logs in on meanwhile.
   * It is no use of them.
   *
   * @returns on how many of those that live `fn` has run
   */
  tapByUser(userId: string, fn: Tap<unknown>): Promise<number> {
    const find = (handle: string) =>
      after(this.findByHandle(handle), (state) => (state?.record?.userId === userId ? state : undefined));
    return tapAll(
      () => this.byUser(userId, 'tapByUser'),
      (handle, tap) => this.turns.tapFound(handle, () => find(handle), tap),
      fn,
    );
  }

  /** The live sessions of a user, the last used first. */
  async byUser(userId: string, where: string): Promise<SessionRecord[]> {
    checkUser(userId, where);
    const records = await this.storage.byUser(userId);
    return records.sort((a, b) => b.touchedAt - a.touchedAt);
  }

  /**
   * Ends the sessions of a user, unless another has logged in on one of them meanwhile.
   *
   * @returns how many were ended
   */
  async destroyByUser(userId: string, options: DestroyByUser): Promise<number> {
    const { except } = checkedOptions('destroyByUser', options, DESTROY_BY_USER);
    const records = await this.byUser(userId, 'destroyByUser');
    return endAll(
      this.storage,
      userId,
      records.filter(({ handle }) => handle !== except),
    );
  }

  /**
   * A page of all live sessions.
   *
   * @throws {SessionOptionsError} if the limit or the cursor is wrong
   */
  async list(page: ListPage): Promise<RecordPage> {
    const { limit = 100, cursor } = checkedOptions('list', page, LIST);
    const found = await this.storage.list({ limit, cursor });
    return { records: found.records.filter((record) => !isMark(record)), cursor: found.cursor };
  }

  /** Ends the session of a handle; false, and not an error, if there is none. */
  async revoke(handle: string): Promise<boolean> {
    if (!isHandle(handle)) return false;
    const record = await this.storage.read(handle);
    // A damaged one reads as absent, and goes too.
    return this.storage.destroy(handle, undefined, record?.userId);
  }

  /** Removes all expired sessions, a batch at a time, and says how many. */
  async purgeExpired(batch: number, stop?: AbortSignal): Promise<number> {
    for (let total = 0; ; await setImmediate()) {
      const purged = await this.storage.purgeExpired(batch);
      total += purged;
      if (purged < batch || stop?.aborted) return total;
    }
  }

  valuesOf(record: Pick<SessionRecord, 'handle' | 'userId' | 'data'>): SessionValues {
    const { handle, userId } = record;
    const codec = new ValueCodec(this.settings, (key, issues) =>
      this.events.emit('corrupt', handle, userId, { key, issues }),
    );
    return new SessionValues(codec, this.storage.dataOf(record));
  }

  private stateOf(record: SessionRecord): SessionState {
    const state = new SessionState(this.storage, this.valuesOf(record), undefined);
    state.record = record;
    state.handle = record.handle;
    return state;
  }
}
