import { inspect } from 'node:util';
import { HttpException } from '@nestjs/common';
import { BaseWsExceptionFilter, WsException } from '@nestjs/websockets';
import { isObservable, Observable } from 'rxjs';
import { after, type Awaitable, isThenable } from '../awaitable.js';
import { SessionError } from '../errors.js';
import { SessionGoneError } from '../errors.http.js';
import type { Ask, Exchanges } from '../http/exchanges.js';
import { type OpenExchange, SocketMessage } from '../nest/contexts.js';
import { commit, touchIsDue } from '../session/save.js';
import { Session } from '../session/session.js';
import type { SessionState, StateExchange } from '../session/state.js';
import { holdOutput } from './output.js';
import type { SocketRegistry } from './registry.js';
import type { AnySocket, Bound, Running } from './sockets.js';

/** What the messages of one adapter have in common. */
export interface MessageParts {
  readonly exchanges: Exchanges;
  readonly registry: SocketRegistry;
}

type Handler = (...args: unknown[]) => unknown;

const filter = new BaseWsExceptionFilter();

/**
 * One message together with its answer: it reads the session anew when that is asked for, and saves what was changed
 * before the answer goes out.
 */
export class Message extends SocketMessage implements StateExchange, OpenExchange, Running {
  session: Session<any> | undefined;
  /** No id can be told over a socket. */
  readonly headersSent = true;
  readonly isMessage = true;
  /** Flashes are left to requests. */
  readonly counts = false;

  private state: SessionState | undefined;
  private used: boolean | undefined;
  private touched = false;
  private loading: PromiseLike<this> | undefined;
  private settling: PromiseLike<void> | undefined;
  private failure: unknown;
  private isDone = false;

  constructor(
    private readonly parts: MessageParts,
    private readonly socket: AnySocket,
    private readonly bound: Bound | undefined,
    private readonly handler: Handler,
    private readonly pattern: string,
    /** What the adapter gives the handler: the data, and with socket.io how to acknowledge. */
    private readonly args: readonly unknown[],
  ) {
    super();
  }

  /** Runs a handler with this message among its arguments, and gives its answer once what it changed is saved. */
  async answer(): Promise<unknown> {
    // The clients of sockets that are about to be closed are heard no more.
    if (this.bound?.hasEnded) return undefined;
    const args = this.args.map((one) =>
      typeof one === 'function' ? this.acknowledging(one as Handler) : one,
    );
    let value: unknown;
    try {
      value = await this.handler(...args, this);
    } catch (error) {
      await this.finish(undefined);
      throw error;
    }
    return isObservable(value) ? this.following(value) : this.finish(value);
  }

  /** @throws {WsException} if the session has ended, or the storage fails */
  open(exchanges: Exchanges, { touch }: Ask): Awaitable<this> {
    if (!this.bound) {
      throw new SessionError(
        'This socket was not opened through withSessions(): another adapter accepted it.',
      );
    }
    if (exchanges !== this.parts.exchanges) {
      throw new SessionError(
        'This socket has the sessions of another SessionModule: one adapter, one module.',
      );
    }
    if (touch !== 'later') this.count(touch);
    if (this.session) return this;
    if (this.loading) return this.loading;
    const loaded = this.load(this.bound);
    if (!isThenable(loaded)) return loaded;
    const done = () => void (this.loading = undefined);
    this.loading = loaded;
    loaded.then(done, done);
    return loaded;
  }

  async locked<R>(run: () => Promise<R>): Promise<R> {
    try {
      return await this.parts.exchanges.sessions.turns.locked(this.state!, async () => {
        try {
          return await run();
        } finally {
          // Whatever became of the handler, what it wrote is saved before anybody else has its turn.
          await this.settle();
        }
      });
    } catch (error) {
      throw error instanceof HttpException && 'code' in error ? this.exceptionOf(error) : error;
    }
  }

  exceptionOf(error: HttpException): WsException {
    const { code, name } = error as { code?: string; name: string };
    // A code in the answer to a request is for clients.
    const { message, code: told } = Object(error.getResponse()) as { message?: unknown; code?: unknown };
    const text = typeof message === 'string' ? message : 'Internal server error';
    const said = told === undefined ? text : { status: 'error', message: text, code: told };
    return Object.assign(new WsException(said), { cause: error, ...(code && { code, name }) });
  }

  get isLeaving(): boolean {
    return this.state?.hasEnded === true;
  }

  save(): Awaitable<unknown> {
    // What fails is told at the end.
    if (!this.state || (this.state.ttl === undefined && !this.state.values.wasUsed)) return undefined;
    return this.settleQuietly();
  }

  /** Where arguments are logged, nothing that hangs on it shows (S50). */
  [inspect.custom](): string {
    return 'SocketMessage';
  }

  /** Whether this message counts as use: whoever asks first decides, and later only an explicit yes changes a no. */
  private count(touch: boolean | undefined): void {
    if (this.used || (touch !== true && this.used !== undefined)) return;
    this.used = touch !== false && this.bound!.counts;
  }

  private load(bound: Bound): Awaitable<this> {
    const { sessions } = this.parts.exchanges;
    const failed = (error: unknown): never => {
      throw error instanceof HttpException ? this.exceptionOf(error) : error;
    };
    const begin = (found: SessionState | undefined): this => {
      // A session that went to another user is not that of this socket any more (S56).
      if (bound.handle !== undefined && (!found || found.record!.userId !== bound.userId)) {
        void this.parts.registry.look(bound.handle);
        return failed(new SessionGoneError(bound.handle));
      }
      const state = found ?? sessions.begin();
      state.exchange = this;
      this.state = state;
      this.session = new Session(state, sessions);
      // Whoever asks after the answer saves by himself.
      if (!this.isDone) {
        (bound.running ??= new Set()).add(this);
        holdOutput(this.socket, bound);
      }
      return this;
    };
    if (bound.handle === undefined) return begin(undefined);
    try {
      const found = sessions.findByHandle(bound.handle);
      return isThenable(found) ? found.then(begin, failed) : begin(found);
    } catch (error) {
      return failed(error);
    }
  }

  /** Saves what is not saved yet, and the use of the session if it is to be written. */
  private settle(): Awaitable<void> {
    const { state } = this;
    if (!state) return undefined;
    if (this.settling) return this.settling.then(() => this.settle());
    const touches = (this.used ?? this.bound!.counts) && !this.touched && touchIsDue(state);
    if (touches) this.touched = true;
    const settled = commit(state, touches);
    if (!isThenable(settled)) return undefined;
    const done = () => void (this.settling = undefined);
    this.settling = settled.then(() => undefined);
    this.settling.then(done, done);
    return this.settling;
  }

  /** False: it could not be saved, which {@link finish} tells. */
  private settleQuietly(): Awaitable<boolean> {
    const failed = (error: unknown): boolean => {
      this.failure = error;
      return false;
    };
    try {
      const settled = this.settle();
      return isThenable(settled)
        ? settled.then(() => this.failure === undefined, failed)
        : this.failure === undefined;
    } catch (error) {
      return failed(error);
    }
  }

  private finish(value: unknown): Awaitable<unknown> {
    this.isDone = true;
    if (!this.session) return value;
    return after(this.settleQuietly(), (saved) => {
      const bound = this.bound!;
      bound.running?.delete(this);
      if (this.isLeaving) setImmediate(() => this.parts.registry.release(bound));
      if (saved) return value;
      this.tell(this.failure);
      return undefined;
    });
  }

  /** The values of an observable as they come; what the handler changes meanwhile is saved when it ends. */
  private following(values: Observable<unknown>): Observable<unknown> {
    return new Observable((subscriber) => {
      const end = (tell: () => void) => after(this.finish(undefined), tell);
      const inner = values.subscribe({
        next: (value) => subscriber.next(value),
        error: (error: unknown) => end(() => subscriber.error(error)),
        complete: () => end(() => subscriber.complete()),
      });
      return () => {
        inner.unsubscribe();
        if (!this.isDone) void end(() => undefined);
      };
    });
  }

  /** An acknowledgement that the handler sends itself, once what it changed is saved. */
  private acknowledging(ack: Handler): Handler {
    return (...values) =>
      void after(this.settleQuietly(), (saved) => {
        if (saved) ack(...values);
      });
  }

  /** Tells the client, as Nest tells it of other errors; the reason is for the log. */
  private tell(error: unknown): void {
    const isKnown = error instanceof HttpException;
    if (!isKnown) {
      this.parts.exchanges.sessions.events.error(
        'A message was not answered, as its session could not be saved',
        error,
      );
    }
    const exception = isKnown ? this.exceptionOf(error) : new WsException('Internal server error');
    const [data] = this.args;
    const ws = { getClient: () => this.socket, getData: () => data, getPattern: () => this.pattern };
    filter.catch(exception, { switchToWs: () => ws } as never);
  }
}
