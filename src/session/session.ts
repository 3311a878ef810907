import { inspect } from 'node:util';
import type { DefaultSessionData, SessionKey, SessionPath, SessionValue } from './session-data.js';
import { SessionError } from '../errors.js';
import type { Duration } from '../nest/session.options.js';
import { parseDuration } from '../rules.js';
import type { SessionEngine } from './engine.js';
import type { SessionState } from './state.js';

/** What lies behind a session, for the rest of the library: an application has no way to it. */
let reveal: (session: Session<any>) => SessionState;
export const stateOf = (session: Session<any>): SessionState => {
  if (session instanceof Session) return reveal(session);
  throw new SessionError('This is no session: pass what @Session(), store.load() or store.create() gave.');
};

/** The server's memory of one client between requests, as a handler holds it. */
export class Session<T extends object = DefaultSessionData> {
  readonly #state: SessionState;
  readonly #engine: SessionEngine;

  static {
    reveal = (session) => session.#state;
  }

  /** Sessions come from `@Session()` and `SessionStore`, never from here. */
  constructor(state: SessionState, engine: SessionEngine) {
    this.#state = state;
    this.#engine = engine;
  }

  /** The secret that the client holds. Whoever has it is the client: never log it. */
  get id(): string {
    this.#engine.lifecycle.name(this.#state);
    return this.#state.id!;
  }

  /** The public name of the session, stable for its life and safe to log. */
  get handle(): string {
    this.#engine.lifecycle.name(this.#state);
    return this.#state.handle!;
  }

  /** Whether it was started by this request. */
  get isNew(): boolean {
    return this.#state.startedHere;
  }

  get createdAt(): Date {
    return new Date(this.#state.createdAt);
  }

  /** When the user logged in; undefined if nobody did. */
  get authenticatedAt(): Date | undefined {
    const at = this.#state.authenticatedAt;
    return at === undefined ? undefined : new Date(at);
  }

  /** When the session ends unless it is used before: the earlier of idle and absolute timeout. */
  get expiresAt(): Date {
    return new Date(this.#state.expiresAt);
  }

  get userId(): string | undefined {
    return this.#state.userId;
  }

  /**
   * The value of a key, or of a dot path such as `'basket.items[0].qty'`; a literal dot is written `\\.`.
   * An object may be changed in place: that is saved too.
   */
  get<P extends SessionPath<T>>(path: P): SessionValue<T, P> | undefined {
    return this.#state.values.get(path) as SessionValue<T, P> | undefined;
  }

  /**
   * Sets the value of a key or a dot path; objects on the way are made. `undefined` removes it.
   *
   * @throws {SessionError} if the path or the value cannot be stored
   */
  set<P extends SessionPath<T>>(path: P, value: SessionValue<T, P> | undefined): void {
    this.#state.values.set(path, value);
  }

  has(path: SessionPath<T>): boolean {
    return this.#state.values.get(path) !== undefined;
  }

  /** Removes a key or what a dot path leads to; false, and not an error, if there was nothing. */
  remove(path: SessionPath<T>): boolean {
    return this.#state.values.remove(path);
  }

  /** Reads a value and removes it. */
  take<P extends SessionPath<T>>(path: P): SessionValue<T, P> | undefined {
    const value = this.get(path);
    this.remove(path);
    return value;
  }

  /** Sets a value and returns the one before. */
  replace<P extends SessionPath<T>>(
    path: P,
    value: SessionValue<T, P> | undefined,
  ): SessionValue<T, P> | undefined {
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
  toJSON(): T {
    return this.#state.values.toJSON() as T;
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
  tap<R>(fn: (data: T) => R | PromiseLike<R>): Promise<R> {
    return this.#engine.exclusive.tap(this.#state, fn as (data: object) => R | PromiseLike<R>);
  }

  /** Keeps a value for exactly the next request that uses the session. */
  flash(key: string, value: unknown): void {
    this.#state.values.flash(key, value);
  }

  /** What the request before flashed under this key. */
  flashed<V = any>(key: string): V | undefined {
    return this.#state.values.flashed(key) as V | undefined;
  }

  /** Keeps what the request before flashed for one more request. */
  reflash(): void {
    this.#state.values.reflash();
  }

  /**
   * Rotates: the same session gets a new id, and the old one is dead at once.
   *
   * @throws {SessionGoneError} if the session ended meanwhile
   * @throws {SessionError} if the headers are out, so that the client could not be told its new id
   */
  regenerate(): Promise<void> {
    return this.#engine.rotation.regenerate(this.#state);
  }

  /**
   * Binds the session to a user: rotates it and restarts both timeouts, so that an id from before the login
   * is worth nothing (S11).
   *
   * @param options.ttl this session's own idle timeout from now on, in seconds or as `'30d'`
   * @throws {SessionGoneError} if the session ended meanwhile
   * @throws {SessionConflictError} if another request rotated the session first (409)
   * @throws {SessionStorageError} if the storage failed: the session is as it was (503)
   * @throws {SessionError} if the headers are out, so that the client could not be told its new id
   */
  login(userId: string, options: { ttl?: Duration | undefined } = {}): Promise<void> {
    const ttl = options.ttl === undefined ? undefined : parseDuration('login: ttl', options.ttl);
    return this.#engine.rotation.login(this.#state, userId, ttl);
  }

  /** Ends the session. Afterwards this is a new visitor's session, and writing starts a new one. */
  logout(): Promise<void> {
    return this.#engine.lifecycle.end(this.#state);
  }

  /** Gives this session an idle timeout of its own ("remember me"), in seconds or as `'30d'`. */
  expireIn(duration: Duration): void {
    this.#engine.lifecycle.expireIn(this.#state, parseDuration('expireIn', duration));
  }

  /**
   * Saves now, rather than when the response goes out.
   *
   * @throws {SessionGoneError} if the session ended meanwhile
   */
  save(): Promise<void> {
    return this.#engine.lifecycle.save(this.#state);
  }

  /** Same as {@link logout}. */
  destroy(): Promise<void> {
    return this.#engine.lifecycle.end(this.#state);
  }

  /** Shows no id (S50), and of the data no more than the keys. */
  [inspect.custom](_depth: number, options: object): string {
    const { handle, status, userId, values } = this.#state;
    return `Session ${inspect({ handle, status, userId, keys: values.keys() }, options)}`;
  }

  /** For `String(session)`; shows no id (S50). */
  toString(): string {
    return `Session ${this.#state.handle ?? '(new)'}`;
  }
}
