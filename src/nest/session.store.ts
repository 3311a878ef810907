import type { ArgumentsHost, OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { SessionError } from '../errors.js';
import type { Exchanges } from '../http/exchanges.js';
import type { AnyResponse, CookieRequest } from '../http/request.js';
import { clientOf } from '../session/client.js';
import type { SessionEvent } from '../session/events.js';
import { parseId } from '../session/id.js';
import type { ClientInfo, DefaultSessionData, StoredData } from '../session/session-data.js';
import { save } from '../session/save.js';
import { Session, stateOf } from '../session/session.js';
import { inPages } from '../session/users.js';
import type { CreateSession, DestroyByUser, ListPage, Sessions } from '../session/sessions.js';
import { checkedOptions, flag, kindOf, oneOf, type OptionRules } from '../rules.js';
import type { SessionRecord } from '../storage/record.js';
import { demandRequest, openIn } from './contexts.js';

/** Anything that stands for a request: what Nest hands around, or the platform's request itself. */
export type SessionTarget = ArgumentsHost | CookieRequest;

/** How {@link SessionStore.of} asks for a session. */
export interface SessionOfOptions {
  /** False: this does not count as use of the session. */
  readonly touch?: boolean | undefined;
  /** `'allow'`: also for a cross-origin request. It frees this call; the route's own check still comes. */
  readonly crossOrigin?: 'allow' | undefined;
}

const OF: OptionRules<SessionOfOptions> = { touch: flag, crossOrigin: oneOf('allow') };

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
  /** What `describeClient` said of the client when the session was created, or at the last login. */
  readonly client: ClientInfo | undefined;
  readonly data: StoredData<T>;
}

/** Some of all sessions. */
export interface SessionPage<T = DefaultSessionData> {
  readonly sessions: SessionInfo<T>[];
  /** Where the next page starts; undefined after the last one. */
  readonly cursor: string | undefined;
}

/** All sessions: for services, guards, workers and sockets. */
export class SessionStore<T extends object = DefaultSessionData>
  implements OnModuleInit, OnApplicationShutdown
{
  /** What happens to sessions, as it happens. Costs nothing while nobody subscribes. */
  readonly events: Observable<SessionEvent>;

  readonly #sessions: Sessions;
  readonly #exchanges: Exchanges;
  readonly #batch: number;

  /** Stores come from `SessionModule`, never from here. */
  constructor(exchanges: Exchanges, batch: number) {
    this.#exchanges = exchanges;
    this.#sessions = exchanges.sessions;
    this.#batch = batch;
    this.events = this.#sessions.events.subject.asObservable();
  }

  /**
   * Stores a new session at once.
   *
   * @throws {SessionExistsError} if an id of one's own is taken; what is stored there stays as it was
   * @throws {SessionLimitError} if the user has as many sessions as there may be (409)
   */
  async create(options: CreateSession<T> = {}): Promise<Session<T>> {
    return new Session<T>(await this.#sessions.create(options), this.#sessions);
  }

  /** The session of an id, or undefined: unknown, malformed, forged and expired are all the same. Does not touch. */
  async load(id: string): Promise<Session<T> | undefined> {
    const state = await this.#sessions.find(parseId(id));
    return state && new Session<T>(state, this.#sessions);
  }

  /**
   * Saves what changed.
   *
   * @throws {SessionGoneError} if the session was destroyed or expired meanwhile: it never comes back to life
   */
  save(session: Session<any>): Promise<void> {
    return save(stateOf(session));
  }

  /** Ends the session of an id; false, and not an error, if there is none, or the secret is wrong. */
  async destroy(id: string): Promise<boolean> {
    const state = await this.#sessions.find(parseId(id));
    return state ? this.#sessions.destroy(state) : false;
  }

  /**
   * {@link Session.tap} by id.
   *
   * @throws {SessionGoneError} if there is no such session; `fn` does not run
   */
  tap<R>(id: string, fn: (data: StoredData<T>) => R | PromiseLike<R>): Promise<R> {
    return this.#sessions.tapById(id, fn as unknown as (data: object) => R | PromiseLike<R>);
  }

  /** Removes all expired sessions now, a batch at a time, and says how many. */
  purgeExpired(stop?: AbortSignal): Promise<number> {
    return this.#sessions.purgeExpired(this.#batch, stop);
  }

  /** How many records there are, expired ones that were not purged yet included. */
  async count(): Promise<number> {
    return this.#sessions.storage.count();
  }

  async isEmpty(): Promise<boolean> {
    return (await this.count()) === 0;
  }

  /**
   * The session of the current request, in a guard, filter, middleware or interceptor. Being asked for, it
   * is saved and its cookie set like any other's.
   *
   * @param response only needed where the request does not lead to it: Node's raw request in a Nest
   *   middleware on Fastify
   * @throws {SessionCrossOriginError} if the request comes from another origin and may not (403)
   */
  of<U extends object = T>(host: ArgumentsHost, options?: SessionOfOptions): Promise<Session<U>>;
  of<U extends object = T>(
    request: CookieRequest,
    response?: AnyResponse,
    options?: SessionOfOptions,
  ): Promise<Session<U>>;
  of<U extends object = T>(request: CookieRequest, options?: SessionOfOptions): Promise<Session<U>>;
  of<U extends object = T>(
    target: SessionTarget,
    response?: AnyResponse | SessionOfOptions,
    options?: SessionOfOptions,
  ): Promise<Session<U>>;
  async of<U extends object = T>(
    target: SessionTarget,
    second?: AnyResponse | SessionOfOptions,
    third?: SessionOfOptions,
  ): Promise<Session<U>> {
    if (typeof target !== 'object' || target === null) {
      throw new SessionError(
        `SessionStore.of() takes a request or a context of Nest; got ${kindOf(target)}.`,
      );
    }
    // What comes second beside a context of Nest can be no response.
    const isAsk = isHost(target) || isOptions(second);
    const given = (isAsk ? (second ?? third) : third) as SessionOfOptions | undefined;
    const options = given && checkedOptions('SessionStore.of', given, OF);
    const opened = isHost(target)
      ? openIn(target, demandRequest(target), this.#exchanges, options)
      : this.#exchanges.open(target, isAsk ? undefined : (second as AnyResponse), options);
    return (await opened).session as Session<U>;
  }

  /** The live sessions of a user, the last used first. */
  async listByUser(userId: string): Promise<SessionInfo<T>[]> {
    const records = await this.#sessions.byUser(userId, 'listByUser');
    return inPages(records, (record) => this.#describe(record));
  }

  /**
   * {@link Session.tap} for every session of a user, one after another, also for those that the user logs in on
   * meanwhile. A session that ends meanwhile stays ended. It does not count as use.
   *
   * @returns on how many of the sessions that live `fn` has run
   * @throws {SessionError} if `fn` throws, which is its `cause`: what was changed before stays so, and it says how many
   */
  tapByUser(userId: string, fn: (data: StoredData<T>) => unknown): Promise<number> {
    return this.#sessions.tapByUser(userId, fn as (data: object) => unknown);
  }

  /**
   * {@link Session.tap} by the public handle: whoever calls it decides who may. It does not count as use.
   *
   * @throws {SessionGoneError} if there is no such session; `fn` does not run
   */
  tapByHandle<R>(handle: string, fn: (data: StoredData<T>) => R | PromiseLike<R>): Promise<R> {
    return this.#sessions.tapByHandle(handle, fn as unknown as (data: object) => R | PromiseLike<R>);
  }

  /**
   * All live sessions, users' and visitors', a page at a time and in no particular order, for administrators. A session
   * that is there from the first page to the last is on one of them, or on two.
   *
   * @param page.limit about how many, 1 to 1,000; default 100. A page may be empty though it is not the last
   * @param page.cursor of the page before
   * @throws {SessionError} if the storage has no `list()`
   *
   * @example
   * let cursor: string | undefined;
   * do {
   *   const page = await store.list({ cursor });
   *   for (const { handle, userId } of page.sessions) console.log(handle, userId);
   *   cursor = page.cursor;
   * } while (cursor !== undefined);
   */
  async list(page: ListPage = {}): Promise<SessionPage<T>> {
    const { records, cursor } = await this.#sessions.list(page);
    return { sessions: await inPages(records, (record) => this.#describe(record)), cursor };
  }

  /**
   * Ends the sessions of a user and says how many.
   *
   * @param options.except handle of the one that stays, usually the session that asks (S31)
   */
  destroyByUser(userId: string, options: DestroyByUser = {}): Promise<number> {
    return this.#sessions.destroyByUser(userId, options);
  }

  /** Ends a session by its handle, for administrators; false, and not an error, if there is none. */
  revoke(handle: string): Promise<boolean> {
    return this.#sessions.revoke(handle);
  }

  /** @throws {SessionStorageError} unless the storage answers within a second */
  ping(): Promise<void> {
    return this.#sessions.storage.ping();
  }

  async onModuleInit(): Promise<void> {
    await this.#sessions.storage.open();
  }

  async onApplicationShutdown(): Promise<void> {
    this.#sessions.events.subject.complete();
    await this.#sessions.storage.close();
  }

  #describe(record: SessionRecord): SessionInfo<T> {
    const { handle, userId, createdAt, authenticatedAt, touchedAt, expiresAt } = record;
    return {
      handle,
      userId,
      createdAt: new Date(createdAt),
      authenticatedAt: authenticatedAt === undefined ? undefined : new Date(authenticatedAt),
      touchedAt: new Date(touchedAt),
      expiresAt: new Date(expiresAt),
      client: clientOf(this.#sessions.storage, record) as ClientInfo | undefined,
      data: this.#sessions.valuesOf(record).toJSON() as StoredData<T>,
    };
  }
}

function isHost(target: SessionTarget): target is ArgumentsHost {
  return typeof (target as ArgumentsHost).switchToHttp === 'function';
}

/** Whether a second argument is no response but says how to ask. */
function isOptions(value: AnyResponse | SessionOfOptions | undefined): value is SessionOfOptions {
  return value !== undefined && (Object.hasOwn(value, 'touch') || Object.hasOwn(value, 'crossOrigin'));
}
