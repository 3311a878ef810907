import { ServerResponse, STATUS_CODES } from 'node:http';
import { inspect } from 'node:util';
import { isThenable } from '../awaitable.js';
import type { Awaitable } from '../awaitable.js';
import { type HeldCalls, isLate, type Method, type Next } from './held-calls.js';
import { HeldHttp1Calls } from './held-http1.js';
import { HeldHttp2Calls } from './held-http2.js';
import {
  addSessionHeaders,
  contentLength,
  dropBodyHeaders,
  type GivenHeaders,
  type HeaderMethods,
  headersAt,
  headersIn,
  type SessionHeaders,
  takeOffSessionHeaders,
} from './response-headers.js';

export type { SessionHeaders } from './response-headers.js';

/** Whom the response works for: the exchange of one request. */
export interface Outgoing {
  /** As the platform has it. */
  readonly request?: object;
  /** Saves what is not saved yet. May throw or reject: then the answer must be replaced. */
  settle(): Awaitable<void>;
  /** Whether anybody used the session since all was saved. */
  readonly wasUsed: boolean;
  /** Asked when the headers go out; once more if they were refused then, or put off by a middleware. */
  headers(): SessionHeaders;
  /** Logs why the answer cannot go out as it is, and says which status the client gets instead. */
  report(error: unknown): number;
  /** Logs a mistake of the application's that can be thrown at nobody. */
  mistake(error: unknown): void;
}

/** The platform's own methods, which ours stand before. */
export type Natives = Record<Method, Next> & HeaderMethods & Pick<ServerResponse, 'on'>;

/**
 * Where a response stands:
 *
 * - `unsaved`: nothing of it was let through, and the session has to be saved first;
 * - `holding`: the session is being saved, and what the application sends waits;
 * - `sending`: the head may go, and so may the body up to its last byte;
 * - `ended`: the application has said all;
 * - `replaced`: the session could not be saved, and another answer went out: what the application says goes nowhere.
 */
type Phase = 'unsaved' | 'holding' | 'sending' | 'ended' | 'replaced';

/** What an answer has that stands in for another whose headers could not be told. */
const NO_HEADERS: SessionHeaders = Object.freeze({ vary: 'Cookie', cookie: undefined, token: undefined });

/** The session cannot tell what it adds to the headers; that is none of the application's mistakes. */
class HeadersError {
  constructor(readonly reason: unknown) {}
}

/**
 * Stands between an application and its response: before the first byte leaves, the session is saved and
 * the headers get what it adds; before the last byte leaves, it is saved again. So it reaches whatever an
 * interceptor never sees: denials, filters, `@Res()`, redirects, streams, SSE, aborted requests.
 *
 * While saving takes its time, the application's calls are held, and are made in order afterwards.
 */
export class SaveBeforeSend {
  private phase: Phase = 'unsaved';
  /** What waits while the phase is `holding`. */
  private held: HeldCalls | undefined;
  /** What is called now is called by the platform's own methods, or from here. */
  private inside = false;
  /** The headers went out through here. */
  private headersOut = false;
  /** What the session adds to headers that are not out yet. */
  private told: SessionHeaders | undefined;
  private sentHeaders: GivenHeaders;
  /** Bytes of the body that the application wrote. */
  private bodyWritten = 0;
  private onError: ((error: unknown) => void) | undefined;

  /** @param earlier stands before another response to the same request */
  constructor(
    readonly response: ServerResponse,
    readonly exchange: Outgoing,
    readonly natives: Natives,
    readonly earlier?: SaveBeforeSend | undefined,
  ) {}

  /** Whether the real headers are out: what they tell of the session can be changed no more. */
  get headersSent(): boolean {
    // While calls are held, the response only pretends.
    return this.headersOut || (this.phase !== 'holding' && this.response.headersSent);
  }

  /** It hangs on a request, which may be logged: no id shows (S50), nor the whole response. */
  [inspect.custom](): string {
    return 'SaveBeforeSend';
  }

  /** A call of the application: made at once, later, or never. */
  pass(method: Method, args: unknown[], next: Next): unknown {
    if (this.inside) return this.call(method, args, next);
    const before = this.bodyWritten;
    if (method === 'write') this.bodyWritten += byteLength(args);
    try {
      if (this.mustSave(method)) {
        const saving = this.exchange.settle();
        if (isThenable(saving)) void this.hold(saving, before);
      }
    } catch (error) {
      // Not thrown at the caller: it may be a stream, whose error would end the process.
      this.replace(error, method === 'writeHead' ? headersIn(args) : undefined);
    }
    switch (this.phase) {
      case 'replaced':
        return this.drop(method, args);
      case 'holding':
        this.listenIfLate(method, args);
        return this.held!.take({ method, args, next });
      default:
        return this.make(method, args, next);
    }
  }

  /** The client went away, or has everything: the last chance to save. */
  closed(): void {
    const isOver = this.phase === 'ended' || this.phase === 'replaced';
    if (isOver && !this.exchange.wasUsed) return;
    const report = (error: unknown) => void this.exchange.report(error);
    try {
      const saving = this.exchange.settle();
      if (isThenable(saving)) saving.then(undefined, report);
    } catch (error) {
      report(error);
    }
  }

  /** The answer must not go out as it is: an opaque error goes in its place, while that is still possible. */
  replace(error: unknown, given?: GivenHeaders): void {
    if (this.phase !== 'replaced') this.answer(this.exchange.report(error), given);
  }

  private mustSave(method: Method): boolean {
    if (this.phase !== 'sending') return this.phase === 'unsaved';
    if (method !== 'write') return method === 'end';
    // With the last byte of the Content-Length the client has all of it, however late end() comes.
    return this.exchange.wasUsed || this.bodyWritten >= contentLength(this.response, this.sentHeaders);
  }

  /** A call that may go. */
  private make(method: Method, args: unknown[], next: Next): unknown {
    if (this.phase === 'ended') this.listenIfLate(method, args);
    // The platform's own methods call one another (end() calls writeHead()): that is not the application.
    this.inside = true;
    try {
      // Of a head that was refused, or that a middleware puts off: it may have to tell something else by now.
      if (this.told) this.takeBack();
      // A middleware may have kept the platform's own writeHead(), and call that.
      if (method !== 'writeHead' && next !== this.natives[method] && !this.headersSent) this.tell(undefined);
      const result = this.call(method, args, next);
      if (this.phase !== 'ended') this.phase = method === 'end' ? 'ended' : 'sending';
      return result;
    } catch (error) {
      if (!(error instanceof HeadersError)) throw error;
      this.replace(error.reason, method === 'writeHead' ? headersIn(args) : undefined);
      return this.drop(method, args);
    } finally {
      this.inside = false;
    }
  }

  private call(method: Method, args: unknown[], next: Next): unknown {
    if (method !== 'writeHead' || this.headersOut) return next.apply(this.response, args);
    const given = headersIn(args);
    const headers = this.tell(given);
    if (headers !== given) args[headersAt(args)] = headers;
    const result = next.apply(this.response, args);
    this.sentHeaders = headers;
    this.headersOut = true;
    this.told = undefined;
    return result;
  }

  /** Adds what the session tells to the headers that are given, or on the response. */
  private tell(given: GivenHeaders): GivenHeaders {
    try {
      this.told ??= this.exchange.headers();
    } catch (error) {
      throw new HeadersError(error);
    }
    return addSessionHeaders(this.response, given, this.told, this.natives);
  }

  private takeBack(): void {
    if (!this.headersSent) takeOffSessionHeaders(this.response, this.told!);
    this.told = undefined;
  }

  private async hold(saving: PromiseLike<void>, bytes: number): Promise<void> {
    this.headersOut = this.headersSent;
    const Held = this.response instanceof ServerResponse ? HeldHttp1Calls : HeldHttp2Calls;
    this.held = new Held(this.response, this.natives, {
      head: this.headersOut,
      bytes,
      length: contentLength(this.response, this.sentHeaders),
    });
    this.phase = 'holding';
    try {
      await saving;
      // What changed while calls were held is saved too, once: something that changes all the time must not hold the
      // answer for ever.
      const late = this.exchange.settle();
      if (isThenable(late)) await late;
      this.release();
    } catch (error) {
      this.replace(error);
    }
  }

  private release(): void {
    const { held, response } = this;
    if (!held) return;
    this.held = undefined;
    held.reveal();
    this.phase = (held.overtaken ? 'ended' : this.headersOut ? 'sending' : 'unsaved') as Phase;
    if (held.overtaken) this.abandon(held);
    let result: unknown;
    for (let call = held.calls.shift(); call; call = held.calls.shift()) {
      const { method, args, next } = call;
      try {
        result = this.make(method, args, next);
        if (this.phase === 'replaced') return this.abandon(held);
      } catch (error) {
        // A middleware threw, and its caller is gone: what the caller would have called next is not called.
        this.exchange.mistake(error);
        this.drop(method, args);
        this.abandon(held);
        if (!response.writableEnded) this.answer(500);
        return;
      }
    }
    held.restore();
    if (held.toldToWait && result !== false && !response.writableEnded) response.emit('drain');
  }

  /** An opaque error goes out, while that is still possible. */
  private answer(status: number, given?: GivenHeaders): void {
    const { held, response, inside } = this;
    this.held = undefined;
    held?.reveal();
    const headers = given ?? headersIn(held?.calls.find(({ method }) => method === 'writeHead')?.args ?? []);
    this.phase = 'replaced';
    if (response.headersSent) {
      // A connection that breaks off is the only way left to tell the client.
      response.destroy(new Error('The response could not be completed'));
    } else {
      this.inside = true;
      if (this.told) this.takeBack();
      this.told = this.headersOrNone();
      const body = JSON.stringify({ statusCode: status, message: STATUS_CODES[status] });
      dropBodyHeaders(response, headers);
      response.setHeader('Content-Type', 'application/json; charset=utf-8');
      response.setHeader('Content-Length', Buffer.byteLength(body));
      // The handler's own words for its status are not for this one. HTTP/2 has none.
      if (response instanceof ServerResponse) response.statusMessage = '';
      // Straight to the platform: what others wrapped around the response, such as compression, is passed by.
      this.call('writeHead', [status], this.natives.writeHead);
      this.call('end', response.req.method === 'HEAD' ? [] : [body], this.natives.end);
      this.inside = inside;
    }
    if (held) this.abandon(held);
  }

  private headersOrNone(): SessionHeaders {
    try {
      return this.exchange.headers();
    } catch {
      return NO_HEADERS;
    }
  }

  /** Calls that are never made: whoever waits for them may go on. */
  private abandon(held: HeldCalls): void {
    for (const { method, args } of held.calls.splice(0)) this.drop(method, args);
    if (held.toldToWait) this.response.emit('drain');
  }

  private drop(method: Method, args: unknown[]): unknown {
    const callback = args.find((arg) => typeof arg === 'function');
    if (callback) process.nextTick(callback as () => void);
    if (method === 'write') return true;
    return method === 'flushHeaders' ? undefined : this.response;
  }

  /**
   * Node tells of a write after the end by an event, which ends the process if nobody listens. The application may
   * only have been quicker than its storage, so here it is logged (S58).
   */
  private listenIfLate(method: Method, args: unknown[]): void {
    const { response } = this;
    if (this.onError || !isLate(method, args) || !response.writableEnded) return;
    this.onError = (error) => {
      if (response.listenerCount('error') === 1) this.exchange.mistake(error);
    };
    response.on('error', this.onError);
  }
}

function byteLength([chunk, encoding]: unknown[]): number {
  if (typeof chunk === 'string')
    return Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8');
  return (chunk as Uint8Array | undefined)?.byteLength ?? 0;
}
