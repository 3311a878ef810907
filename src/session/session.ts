import { inspect } from 'node:util';
import type {
  DefaultSessionData,
  SessionKey,
  SessionPath,
  SessionValue,
  StoredData,
  StoredValue,
} from './session-data.js';
import { dataObject } from './data-object.js';
import { SessionError } from '../errors.js';
import {
  checkedOptions,
  type Duration,
  duration as durationRule,
  milliseconds,
  type OptionRules,
  parseDuration,
} from '../rules.js';
import { deadline } from './deadlines.js';
import { login, regenerate } from './rotate.js';
import { save, start } from './save.js';
import type { Sessions } from './sessions.js';
import type { SessionState } from './state.js';

/** What lies behind a session, for the rest of the library: an application has no way to it. */
let reveal: (session: Session<any>) => SessionState;
export const stateOf = (session: Session<any>): SessionState => {
  if (session instanceof Session) return reveal(session);
  throw new SessionError('This is no session: pass what @Session(), store.load() or store.create() gave.');
};

interface LoginOptions {
  ttl?: Duration | undefined;
}

const LOGIN: OptionRules<LoginOptions> = { ttl: durationRule };

/** The server's memory of one client between requests, as a handler holds it. */
export class Session<T extends object = DefaultSessionData> {
  readonly #state: SessionState;
  readonly #sessions: Sessions;
  #data: object | undefined;

  static {
    reveal = (session) => session.#state;
  }

  /** Sessions come from `@Session()` and `SessionStore`, never from here. */
  constructor(state: SessionState, sessions: Sessions) {
    this.#state = state;
    this.#sessions = sessions;
  }

  /**
   * The secret that the client holds. Whoever has it is the client: never log it.
   *
   * @throws {SessionError} on a socket, where it is not known
   */
  get id(): string {
    const state = this.#state;
    if (state.isHeldByHandle || state.exchange?.isMessage)
      throw new SessionError(
        'session.id is not known on a socket: use session.handle, which names the session.',
      );
    state.name();
    return state.id!;
  }

  /** The public name of the session, stable for its life and safe to log. */
  get handle(): string {
    this.#state.name();
    return this.#state.handle!;
  }

  /** Whether it was started by this request. */
  get isNew(): boolean {
    return this.#state.startedAt !== undefined;
  }

  /**
   * Whether the client came with an id that opens no session: it expired, was ended, or never was. A hint for a message
   * such as "You have been logged out", and never for a decision.
   */
  get hadSession(): boolean {
    return this.#state.hadSession;
  }

  get createdAt(): Date {
    return new Date(this.#createdAt);
  }

  /** When the user logged in; undefined if nobody did, or if a session that was imported does not say. */
  get authenticatedAt(): Date | undefined {
    const at = this.#state.record?.authenticatedAt;
    return at === undefined ? undefined : new Date(at);
  }

  /** When the session ends unless it is used before: the earlier of idle and absolute timeout. */
  get expiresAt(): Date {
    const { record, ttl } = this.#state;
    if (record && ttl === undefined) return new Date(record.expiresAt);
    const life = {
      createdAt: this.#createdAt,
      authenticatedAt: record?.authenticatedAt,
      ttl: this.#ownTtl,
    };
    return new Date(deadline(record ? Date.now() : this.#createdAt, life, this.#sessions.settings));
  }

  /** The idle timeout in force, in seconds. */
  get ttl(): number {
    return (this.#ownTtl ?? this.#sessions.settings.ttl) / 1_000;
  }

  get userId(): string | undefined {
    return this.#state.record?.userId;
  }

  get #createdAt(): number {
    return this.#state.record?.createdAt ?? this.#state.startedAt!;
  }

  /** This session's own idle timeout in milliseconds, stored or wished for. */
  get #ownTtl(): number | undefined {
    const { ttl, record } = this.#state;
    return (ttl === undefined ? record?.ttl : ttl) ?? undefined;
  }

  /**
   * The value of a key, or of a dot path such as `'basket.items[0].qty'`; a literal dot is written `\\.`.
   * An object may be changed in place: that is saved too.
   */
  get<P extends string>(path: SessionPath<T, P>): StoredValue<SessionValue<T, P>> | undefined {
    return this.#state.values.get(path) as StoredValue<SessionValue<T, P>> | undefined;
  }

  /**
   * Sets the value of a key or a dot path; objects on the way are made. `undefined` removes it.
   *
   * @throws {SessionError} if the path or the value cannot be stored
   */
  set<P extends string>(path: SessionPath<T, P>, value: SessionValue<T, P> | undefined): void {
    this.#state.values.set(path, value);
  }

  has<P extends string>(path: SessionPath<T, P>): boolean {
    return this.#state.values.get(path) !== undefined;
  }

  /** Removes a key or what a dot path leads to; false, and not an error, if there was nothing. */
  remove<P extends string>(path: SessionPath<T, P>): boolean {
    return this.#state.values.remove(path);
  }

  /** Reads a value and removes it. */
  take<P extends string>(path: SessionPath<T, P>): StoredValue<SessionValue<T, P>> | undefined {
    const value = this.get(path);
    this.remove(path);
    return value;
  }

  /** Sets a value and returns the one before. */
  replace<P extends string>(
    path: SessionPath<T, P>,
    value: SessionValue<T, P> | undefined,
  ): StoredValue<SessionValue<T, P>> | undefined {
    const before = this.get(path);
    this.set(path, value);
    return before;
  }

  keys(): SessionKey<T>[] {
    return this.#state.values.keys() as SessionKey<T>[];
  }

  /** Removes all data. The session itself, its user and its flashes stay. */
  clear(): void {
    this.#state.values.clear();
  }

  /** A plain copy of the data, without flashes. */
  toJSON(): StoredData<T> {
    return this.#state.values.toJSON() as StoredData<T>;
  }

  /**
   * The same data as a live object: what is read is decoded then, what is changed is saved. `structuredClone` does not
   * take it; give it {@link toJSON}.
   *
   * @example
   * session.data.visits = (session.data.visits ?? 0) + 1;
   */
  get data(): StoredData<T> {
    return (this.#data ??= dataObject(this.#state)) as StoredData<T>;
  }

  set data(_: never) {
    throw new SessionError(
      'session.data cannot be replaced: set its keys, Object.assign(session.data, { … }), after session.clear() if need be.',
    );
  }

  /**
   * Runs `fn` alone: no other tap of this session runs meanwhile, on any node. `data` is fresh and may be
   * changed at will; it is saved when `fn` returns, and nothing is if it throws.
   *
   * @returns what `fn` returned
   * @throws {SessionLockError} if its turn does not come in time, the lock was lost before `fn` ended, or
   *   this is a tap inside a tap of the same session
   * @throws {SessionGoneError} if the session ended meanwhile
   */
  tap<R>(fn: (data: StoredData<T>) => R | PromiseLike<R>): Promise<R> {
    return this.#sessions.turns.tap(this.#state, fn as unknown as (data: object) => R | PromiseLike<R>);
  }

  /** Keeps a value for exactly the next request that uses the session. */
  flash(key: string, value: unknown): void {
    this.#state.values.flashes.flash(key, value);
  }

  /** What the request before flashed under this key. */
  flashed<V = any>(key: string): V | undefined {
    return this.#state.values.flashes.flashed(key) as V | undefined;
  }

  /** Keeps what the request before flashed for one more request. */
  reflash(): void {
    this.#state.values.flashes.reflash();
  }

  /**
   * Rotates: the same session gets a new id, and the old one is dead at once.
   *
   * @throws {SessionGoneError} if the session ended meanwhile
   * @throws {SessionError} if the headers are out, so that the client could not be told its new id
   */
  regenerate(): Promise<void> {
    return regenerate(this.#state);
  }

  /**
   * Binds the session to a user: rotates it and restarts both timeouts, so that an id from before the login
   * is worth nothing (S11). On a session that has ended meanwhile, it starts a new one.
   *
   * @param options.ttl this session's own idle timeout from now on, in seconds or as `'30d'`
   * @throws {SessionConflictError} if another request rotated the session first, unless it logged the same user in (409)
   * @throws {SessionLimitError} if the user has as many sessions as there may be: nothing has changed (409)
   * @throws {SessionStorageError} if the storage failed: the session is as it was (503)
   * @throws {SessionError} if the headers are out, so that the client could not be told its new id
   */
  async login(userId: string, options: LoginOptions = {}): Promise<void> {
    const { ttl } = checkedOptions('login', options, LOGIN);
    await login(this.#state, userId, ttl === undefined ? undefined : milliseconds(ttl));
  }

  /** Ends the session. Afterwards this is a new visitor's session, and writing starts a new one. */
  logout(): Promise<void> {
    return this.#sessions.end(this.#state);
  }

  /** Gives this session an idle timeout of its own ("remember me"), in seconds or as `'30d'`. */
  expireIn(duration: Duration): void {
    this.#state.ttl = parseDuration('expireIn', duration);
  }

  /**
   * Stores a visitor's session now, though nothing was written, so that its id and handle stay. Of a session that is
   * stored nothing changes.
   *
   * @throws {SessionGoneError} if the session ended meanwhile
   * @throws {SessionError} if the headers are out, so that the client could not be told its id
   */
  start(): Promise<void> {
    return start(this.#state);
  }

  /**
   * Saves now, rather than when the response goes out.
   *
   * @throws {SessionGoneError} if the session ended, or went to another user, meanwhile
   */
  save(): Promise<void> {
    return save(this.#state);
  }

  /** Same as {@link logout}. */
  destroy(): Promise<void> {
    return this.#sessions.end(this.#state);
  }

  /** Shows no id (S50), and of the data no more than the keys. */
  [inspect.custom](_depth: number, options: object): string {
    const { handle, outside, values } = this.#state;
    const { isNew, userId } = this;
    return `Session ${inspect({ handle, isNew, outside, userId, keys: values.keys() }, options)}`;
  }

  /** For `String(session)`; shows no id (S50). */
  toString(): string {
    return `Session ${this.#state.handle ?? '(new)'}`;
  }
}
