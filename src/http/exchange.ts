import { inspect } from 'node:util';
import { type ArgumentsHost, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { after, isThenable } from '../awaitable.js';
import type { SessionEngine } from '../session/engine.js';
import { SessionError } from '../errors.js';
import { SessionStorageError } from '../errors.http.js';
import { Session } from '../session/session.js';
import type { SessionCarrier, SessionState } from '../session/state.js';
import { SessionStore, type SessionsOfRequests, type SessionTarget } from '../nest/session.store.js';
import type { Awaitable } from '../awaitable.js';
import { attachExchange, exchangeOf, prepareResponses } from './response-patch.js';
import type { Outgoing, SaveBeforeSend, SessionHeaders } from './save-before-send.js';
import { SessionCookie } from './cookie.js';
import { type AnyResponse, type CookieRequest, rawOf, rawResponseOf } from './request.js';

/** Finds the session of a request once, and remembers it for whoever asks next. */
@Injectable()
export class RequestSessions implements SessionsOfRequests, OnModuleInit {
  private readonly engine: SessionEngine;

  constructor(
    store: SessionStore<any>,
    private readonly cookie: SessionCookie,
    private readonly adapterHost: HttpAdapterHost,
  ) {
    this.engine = store.engine;
    store.requests = this;
  }

  /** Before the first request, so that what other middleware wraps around a response is wrapped around the hooks. */
  onModuleInit(): void {
    prepareResponses(this.adapterHost.httpAdapter?.getInstance?.());
  }

  /** The session that a request carries: read on the first call, with its response netted from then on. */
  open(request: CookieRequest, response: AnyResponse | undefined): Awaitable<RequestSession> {
    const raw = rawOf(request);
    const known = exchangeOf(raw) as RequestSession | undefined;
    if (known) return this.check(known).loaded();
    const rawResponse = rawResponseOf(raw, response);
    // A request that is wrapped may not show what belongs to it, but its response does.
    const other = exchangeOf(raw, rawResponse) as RequestSession | undefined;
    if (other) return this.check(other).loaded();
    const exchange = new RequestSession(this.engine, this.cookie, request);
    exchange.outgoing = attachExchange(rawResponse, exchange);
    return exchange.loaded();
  }

  private check(exchange: RequestSession): RequestSession {
    if (exchange.engine === this.engine) return exchange;
    throw new SessionError(
      'This request has a session of another SessionModule already: one request, one module.',
    );
  }

  of(target: SessionTarget, response?: AnyResponse): Awaitable<Session<any>> {
    if (typeof target !== 'object' || target === null) {
      throw new SessionError(
        `SessionStore.of() takes a request or a context of Nest; got ${String(target)}.`,
      );
    }
    if (!isHost(target)) return after(this.open(target, response), sessionOf);
    if (target.getType() !== 'http') refuseContext(target);
    const http = target.switchToHttp();
    return after(this.open(http.getRequest(), http.getResponse()), sessionOf);
  }
}

/** The session of one request, and what has to happen to it when the response goes out. */
export class RequestSession implements Outgoing, SessionCarrier {
  /** Undefined until it is loaded. */
  state: SessionState | undefined;
  session: Session<any> | undefined;
  outgoing: SaveBeforeSend | undefined;

  private loading: PromiseLike<this> | undefined;
  private committing: PromiseLike<void> | undefined;
  private failed = false;

  constructor(
    readonly engine: SessionEngine,
    private readonly cookie: SessionCookie,
    private readonly request: CookieRequest,
  ) {}

  /** Reads the session once; whoever asks meanwhile waits for the same, and after a failure it is tried again. */
  loaded(): Awaitable<this> {
    if (this.state) return this;
    if (this.loading) return this.loading;
    const found = after(this.find(), (live) => {
      const state = live ?? this.engine.lifecycle.begin();
      state.carrier = this;
      state.cameByCookie = live !== undefined;
      this.state = state;
      this.session = new Session(state, this.engine);
      return this;
    });
    if (!isThenable(found)) return found;
    const done = () => void (this.loading = undefined);
    this.loading = found;
    found.then(done, done);
    return found;
  }

  /** Where a request is logged with all that hangs on it, no id shows (S50). */
  [inspect.custom](): string {
    return 'RequestSession';
  }

  get sealed(): boolean {
    return this.outgoing!.headersSent;
  }

  get wasUsed(): boolean {
    return !this.failed && (!this.state || this.state.ttlChanged || this.state.values.wasUsed);
  }

  /**
   * Saves before a lock is released.
   *
   * @param selfAnswered the handler sends its answer itself, so that nothing but its response can put an error in its place
   */
  async saveLocked(selfAnswered: boolean): Promise<void> {
    try {
      await this.settle();
    } catch (error) {
      if (selfAnswered) this.outgoing?.replace(error);
      throw error;
    }
  }

  isResponse(value: unknown): boolean {
    const response = this.outgoing?.response;
    return value === response || (value as { raw?: unknown } | null)?.raw === response;
  }

  report(error: unknown): number {
    if (error instanceof SessionStorageError) return 503;
    this.engine.events.error('A response was not sent, as its session could not be saved', error);
    return 500;
  }

  mistake(error: unknown): void {
    this.engine.events.error('A response was used wrongly', error);
  }

  settle(): Awaitable<void> {
    if (this.failed) return;
    if (this.loading) return this.handlerStarted(this.loading).then(() => this.settle());
    if (!this.state) return;
    // Whoever sends meanwhile fails with it: a stream that a handler left running must not become a success.
    if (this.committing) return this.committing.then(() => this.settle());
    try {
      const saving = this.engine.lifecycle.commit(this.state);
      if (!isThenable(saving)) return;
      this.committing = saving.then(
        () => void (this.committing = undefined),
        (error: unknown) => {
          this.committing = undefined;
          this.fail(error);
        },
      );
      return this.committing;
    } catch (error) {
      this.fail(error);
    }
  }

  /**
   * Nest sends the headers of an SSE stream on the next macrotask, while the session may still be read. They
   * wait for it, and then for one macrotask more, as without a session, in which the handler starts.
   */
  private async handlerStarted(loading: PromiseLike<unknown>): Promise<void> {
    await loading.then(undefined, () => undefined);
    await new Promise(setImmediate);
  }

  /** Told once: whatever answers the error must not fail by the same error again. */
  private fail(error: unknown): never {
    this.failed = true;
    throw error;
  }

  private find(): Awaitable<SessionState | undefined> {
    const candidates = this.cookie.candidates(this.request);
    if (candidates.length === 0) return undefined;
    return candidates.length === 1 ? this.engine.lifecycle.find(candidates[0]!) : this.pick(candidates);
  }

  /** Of several cookies of the name the one that is live; two that are live count as none (S43). */
  private async pick(candidates: string[]): Promise<SessionState | undefined> {
    const { lifecycle } = this.engine;
    const live: SessionState[] = [];
    for (const candidate of candidates) {
      const state = await lifecycle.find(candidate);
      if (state) live.push(state);
    }
    if (live.length > 1) lifecycle.events.emit('rejected');
    return live.length === 1 ? live[0] : undefined;
  }

  headers(): SessionHeaders {
    return { vary: 'Cookie', cookie: this.cookieText(), token: undefined };
  }

  private cookieText(): string | undefined {
    const { state, cookie, request } = this;
    if (!state || state.cookieDue === 'none') return undefined;
    if (cookie.isWithheld(request)) {
      this.engine.events.warnOnce(
        'The session cookie is Secure and the request came in plain HTTP: the cookie was withheld. ' +
          'Behind a proxy that ends TLS, let the platform trust it ("trust proxy" on Express, trustProxy on Fastify)',
      );
      return undefined;
    }
    return state.cookieDue === 'clear'
      ? cookie.clear(request)
      : cookie.text(state.id!, new Date(state.expiresAt), request);
  }
}

const sessionOf = ({ session }: RequestSession): Session<any> => session!;

function isHost(target: SessionTarget): target is ArgumentsHost {
  return typeof (target as ArgumentsHost).switchToHttp === 'function';
}

/** @throws {SessionError} as only HTTP has a response to set a cookie on */
export function refuseContext(context: ArgumentsHost): never {
  throw new SessionError(
    `The session of a request is for HTTP, and this is a context of type "${context.getType()}": ` +
      'pass its request and response to SessionStore.of(), or load() the session by its id.',
  );
}

/** The session that a request carries already. */
export function sessionOfRequest(request: CookieRequest): Session<any> | undefined {
  return (exchangeOf(rawOf(request)) as RequestSession | undefined)?.session;
}
