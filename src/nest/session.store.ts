import type { IncomingMessage, ServerResponse } from 'node:http';
import { setImmediate } from 'node:timers/promises';
import {
  type ArgumentsHost,
  Inject,
  Injectable,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import type { Observable } from 'rxjs';
import type { DefaultSessionData } from '../session/session-data.js';
import { SessionError } from '../errors.js';
import { SessionEngine } from '../session/engine.js';
import type { SessionEvent } from '../session/events.js';
import { isHandle, parseId, proofOf } from '../session/id.js';
import { checkUser, type SessionLifecycle } from '../session/lifecycle.js';
import type { Duration, SessionSettings } from './session.options.js';
import { parseDuration } from '../rules.js';
import { Session, stateOf } from '../session/session.js';
import type { SessionState } from '../session/state.js';
import type { Awaitable } from '../awaitable.js';
import type { SessionRecord } from '../storage/record.js';

/** Injection token of the checked options. */
export const SESSION_SETTINGS = Symbol('nest-sessions.settings');

/** Anything that stands for a request: what Nest hands around, or the platform's request itself. */
export type SessionTarget = ArgumentsHost | IncomingMessage | { readonly raw: IncomingMessage };

/** How the store reaches the sessions of requests; the HTTP side is plugged in by the module. */
export interface SessionsOfRequests {
  of(
    target: SessionTarget,
    response?: ServerResponse | { readonly raw: ServerResponse },
  ): Awaitable<Session<any>>;
}

/** A session as a device list or an administrator sees it: nothing in it can be replayed (S33). */
export interface SessionInfo<T = DefaultSessionData> {
  readonly handle: string;
  readonly userId: string | undefined;
  readonly createdAt: Date;
  /** When the user logged in. */
  readonly authenticatedAt: Date | undefined;
  /** Last use, to within `touchAfter`. */
  readonly touchedAt: Date;
  readonly expiresAt: Date;
  readonly data: T;
}

export interface CreateSession<T> {
  /** An id of one's own: 22 to 256 characters of `A–Z a–z 0–9 . _ ~ -`. It must be impossible to guess. */
  id?: string | undefined;
  data?: Partial<T> | undefined;
  /** Starts the session as this user's, logged in now. */
  userId?: string | undefined;
  /** The session's own idle timeout, in seconds or as `'30d'`. */
  ttl?: Duration | undefined;
}

/** All sessions: for services, guards, workers and sockets. */
@Injectable()
export class SessionStore<T extends object = DefaultSessionData>
  implements OnModuleInit, OnApplicationShutdown
{
  /** What happens to sessions, as it happens. Costs nothing while nobody subscribes. */
  readonly events: Observable<SessionEvent>;

  /** @internal */
  readonly engine: SessionEngine;
  /** @internal */
  requests: SessionsOfRequests | undefined;

  private readonly lifecycle: SessionLifecycle;
  private readonly unsubscribe: () => void;

  constructor(@Inject(SESSION_SETTINGS) private readonly settings: SessionSettings) {
    this.engine = new SessionEngine(settings);
    this.lifecycle = this.engine.lifecycle;
    const { events } = this.engine;
    this.events = events.subject.asObservable();
    this.unsubscribe = settings.storage.subscribe(({ type, handle, userId }) => {
      if (type === 'evicted')
        events.warnOnce('The session storage is full: it evicts the sessions that expire first');
      events.emit(type, handle, userId);
    });
  }

  /**
   * Stores a new session at once.
   *
   * @throws {SessionExistsError} if an id of one's own is taken; what is stored there stays as it was
   */
  async create({ id, data, userId, ttl, ...unknown }: CreateSession<T> = {}): Promise<Session<T>> {
    for (const name in unknown)
      throw new SessionError(`create: ${name} is unknown; it takes id, data, userId, ttl.`);
    const state = this.lifecycle.begin();
    if (id !== undefined) nameOwn(state, id);
    if (userId !== undefined) checkUser(userId, 'create');
    state.userId = userId;
    if (ttl !== undefined) state.ttl = parseDuration('create: ttl', ttl);
    if (data !== undefined) state.values.assign(data, 'create: data');
    await this.lifecycle.insert(state, state.values.collect(false), id !== undefined);
    return this.show(state);
  }

  /** The session of an id, or undefined: unknown, malformed, forged and expired are all the same. Does not touch. */
  async load(id: string): Promise<Session<T> | undefined> {
    const state = await this.lifecycle.find(id);
    return state && this.show(state);
  }

  /**
   * Saves what changed.
   *
   * @throws {SessionGoneError} if the session was destroyed or expired meanwhile: it never comes back to life
   */
  async save(session: Session<any>): Promise<void> {
    await this.lifecycle.save(stateOf(session));
  }

  /** Ends the session of an id; false, and not an error, if there is none, or the secret is wrong. */
  async destroy(id: string): Promise<boolean> {
    const state = await this.lifecycle.find(id);
    return state ? await this.lifecycle.remove(state.handle!, state.userId) : false;
  }

  /**
   * {@link Session.tap} by id.
   *
   * @throws {SessionGoneError} if there is no such session; `fn` does not run
   */
  tap<R>(id: string, fn: (data: T) => R | PromiseLike<R>): Promise<R> {
    return this.engine.exclusive.tapById(id, fn as (data: object) => R | PromiseLike<R>);
  }

  /** Removes all expired sessions now, a batch at a time, and says how many. */
  async purgeExpired(stop?: AbortSignal): Promise<number> {
    const { storage, purge } = this.settings;
    for (let total = 0; ; await setImmediate()) {
      const purged = await this.lifecycle.call(() => storage.purgeExpired(purge.batch));
      total += purged;
      if (purged < purge.batch || stop?.aborted) return total;
    }
  }

  /** How many records there are, expired ones that were not purged yet included. */
  async count(): Promise<number> {
    return this.lifecycle.call(() => this.settings.storage.count());
  }

  async isEmpty(): Promise<boolean> {
    return (await this.count()) === 0;
  }

  /**
   * The session of the current request, in a guard, filter, middleware or interceptor. Being asked for, it
   * is saved and its cookie set like any other's. Await it.
   *
   * @param response only needed where the request does not lead to it: Node's raw request in a Nest
   *   middleware on Fastify
   */
  of<U extends object = T>(
    target: SessionTarget,
    response?: ServerResponse | { readonly raw: ServerResponse },
  ): Awaitable<Session<U>> {
    if (this.requests) return this.requests.of(target, response);
    throw new SessionError('SessionStore.of() needs SessionModule: this store was made by hand.');
  }

  /** The live sessions of a user, the last used first. */
  async listByUser(userId: string): Promise<SessionInfo<T>[]> {
    const records = await this.recordsOf(userId, 'listByUser');
    return records.sort((a, b) => b.touchedAt - a.touchedAt).map((record) => this.describe(record));
  }

  /**
   * Ends the sessions of a user and says how many.
   *
   * @param options.except handle of the one that stays, usually the session that asks (S31)
   */
  async destroyByUser(userId: string, options: { except?: string | undefined } = {}): Promise<number> {
    let destroyed = 0;
    for (const { handle } of await this.recordsOf(userId, 'destroyByUser')) {
      if (handle !== options.except && (await this.lifecycle.remove(handle, userId))) destroyed++;
    }
    return destroyed;
  }

  /** Ends a session by its handle, for administrators; false, and not an error, if there is none. */
  async revoke(handle: string): Promise<boolean> {
    if (!isHandle(handle)) return false;
    const record = await this.lifecycle.call(() => this.settings.storage.read(handle));
    return this.lifecycle.remove(handle, record?.userId);
  }

  async onModuleInit(): Promise<void> {
    await this.settings.storage.open();
  }

  async onApplicationShutdown(): Promise<void> {
    this.unsubscribe();
    this.engine.events.subject.complete();
    await this.settings.storage.close();
  }

  private async recordsOf(userId: string, where: string): Promise<SessionRecord[]> {
    checkUser(userId, where);
    const records = await this.lifecycle.call(() => this.settings.storage.byUser(userId));
    return records.filter((record) => this.lifecycle.isLive(record));
  }

  private describe(record: SessionRecord): SessionInfo<T> {
    return {
      handle: record.handle,
      userId: record.userId,
      createdAt: new Date(record.createdAt),
      authenticatedAt: record.authenticatedAt === undefined ? undefined : new Date(record.authenticatedAt),
      touchedAt: new Date(record.touchedAt),
      expiresAt: new Date(record.expiresAt),
      data: this.lifecycle.valuesOf(record).toJSON() as T,
    };
  }

  private show(state: SessionState): Session<T> {
    return new Session<T>(state, this.engine);
  }
}

/** Gives a new session an id of the caller's own. */
function nameOwn(state: SessionState, id: string): void {
  const parts = parseId(id);
  if (!parts || id.length > 256) {
    throw new SessionError(
      `create: an id must be 22 to 256 characters of A–Z a–z 0–9 . _ ~ -; got ` +
        (typeof id === 'string' ? `${String(id).length} characters` : `a ${typeof id}`),
    );
  }
  state.id = id;
  state.handle = parts.handle;
  state.proof = proofOf(parts.secret);
}
