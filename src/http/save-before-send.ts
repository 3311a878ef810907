import { type ServerResponse, STATUS_CODES } from 'node:http';
import { isThenable } from '../awaitable.js';
import type { Awaitable } from '../awaitable.js';
import {
  addSessionHeaders,
  contentLength,
  dropBodyHeaders,
  type GivenHeaders,
  type HeaderMethods,
} from './response-headers.js';

export interface SessionHeaders {
  readonly vary: string;
  readonly cookie: string | undefined;
  readonly token: string | undefined;
}

/** Whom the net works for: the session of one request. */
export interface Outgoing {
  /** Saves what is not saved yet. Having failed once, it does nothing more. */
  settle(): Awaitable<void>;
  /** Whether anybody used the session since all was saved. */
  readonly wasUsed: boolean;
  /** What the session adds to the headers that go out now. */
  headers(): SessionHeaders;
  /** Logs why the answer cannot go out as it is, and says which status the client gets instead. */
  report(error: unknown): number;
}

type Method = 'writeHead' | 'write' | 'end' | 'flushHeaders';
/** The platform's own methods, which the net's stand before. */
export type Natives = Record<Method, (...args: any[]) => unknown> &
  HeaderMethods &
  Pick<ServerResponse, 'on'>;

/**
 * Stands between an application and its response: before the first byte leaves, the session is saved and
 * the headers get what it adds; before the last byte leaves, it is saved again. So it reaches whatever an
 * interceptor never sees: denials, filters, `@Res()`, redirects, streams, SSE, aborted requests.
 *
 * While saving takes its time, the application's calls wait in a queue, and are made in order afterwards.
 */
export class SaveBeforeSend {
  private queue: [Method, unknown[]][] | undefined;
  private toldToWait = false;
  private lateSettled = false;
  /** Saved before the headers; from here on they may go. */
  private settled = false;
  /** What is called now comes from the platform's own methods, or from here. */
  private inside = false;
  private ended = false;
  /** The headers went out through here. */
  private headersOut = false;
  /** Another answer went out: what the application still sends goes nowhere. */
  private replaced = false;
  private sentHeaders: GivenHeaders;
  /** Content-Length; only a body that is written in pieces needs it. */
  private bodyLength: number | undefined;
  private bodyWritten = 0;

  constructor(
    readonly response: ServerResponse,
    private readonly outgoing: Outgoing,
    private readonly natives: Natives,
  ) {}

  /** Whether the headers are out. */
  get headersSent(): boolean {
    // While calls are held, the response only pretends.
    return this.headersOut || (!this.queue && this.response.headersSent);
  }

  /** A call of the application: made at once, later, or never. */
  pass(method: Method, args: unknown[]): unknown {
    if (this.inside) return this.make(method, args);
    if (this.replaced) return this.drop(method, args);
    if (this.queue) return this.hold(method, args);
    if (this.mustSettle(method, args)) {
      try {
        const settling = this.outgoing.settle();
        if (isThenable(settling)) {
          this.headersOut = this.headersSent;
          this.queue = [];
          this.wait(settling);
          return this.hold(method, args);
        }
      } catch (error) {
        // Not thrown at the caller: it may be a stream, whose error would end the process.
        this.replace(error, method === 'writeHead' ? headersIn(args) : undefined);
        return this.drop(method, args);
      }
    }
    return this.make(method, args);
  }

  /** The client went away, or has everything: the last chance to save. */
  closed(): void {
    if (this.ended && !this.outgoing.wasUsed) return;
    const report = (error: unknown) => void this.outgoing.report(error);
    try {
      const settling = this.outgoing.settle();
      if (isThenable(settling)) settling.then(undefined, report);
    } catch (error) {
      report(error);
    }
  }

  private mustSettle(method: Method, args: unknown[]): boolean {
    if (method === 'write') this.bodyWritten += byteLength(args);
    if (!this.settled || method === 'end') return true;
    if (method !== 'write') return false;
    // With the last byte of the Content-Length the client has all of it, however late end() comes.
    this.bodyLength ??= contentLength(this.response, this.sentHeaders);
    return this.bodyWritten >= this.bodyLength || this.outgoing.wasUsed;
  }

  private make(method: Method, args: unknown[]): unknown {
    const wasInside = this.inside;
    const { response } = this;
    this.settled = true;
    if (method === 'end') this.ended = true;
    // The platform's own methods call one another (end() calls writeHead()): that is not the application.
    this.inside = true;
    try {
      if (method !== 'writeHead') return this.natives[method].apply(response, args);
      const given = headersIn(args);
      const headers = this.headersOut
        ? given
        : addSessionHeaders(response, given, this.outgoing.headers().cookie, this.natives);
      this.sentHeaders = headers;
      if (headers !== given) args[headersAt(args)] = headers;
      const result = this.natives.writeHead.apply(response, args);
      this.headersOut = true;
      return result;
    } finally {
      this.inside = wasInside;
    }
  }

  private hold(method: Method, args: unknown[]): unknown {
    if (method === 'writeHead' && this.response.headersSent) {
      const error = new Error('Cannot write headers after they are sent to the client');
      throw Object.assign(error, { code: 'ERR_HTTP_HEADERS_SENT' });
    }
    this.queue!.push([method, args]);
    // For the application the call is made: Fastify and Nest look here before they send a second time.
    pretend(this.response, 'headersSent');
    if (method === 'end') pretend(this.response, 'writableEnded');
    if (method !== 'write') return method === 'flushHeaders' ? undefined : this.response;
    this.toldToWait = true;
    return false;
  }

  private wait(settling: PromiseLike<void>): void {
    settling.then(
      () => this.release(),
      (error: unknown) => this.replace(error),
    );
  }

  private release(): void {
    try {
      // What changed while the queue was held is saved too, once: something that changes all the time must not
      // hold the answer for ever.
      const settling = this.lateSettled ? undefined : this.outgoing.settle();
      this.lateSettled = true;
      if (isThenable(settling)) return this.wait(settling);
      this.lateSettled = false;
      const queue = this.queue!;
      this.queue = undefined;
      this.stopPretending();
      for (const [method, args] of queue) this.make(method, args);
      if (this.toldToWait && !this.response.writableNeedDrain && !this.response.writableEnded)
        this.response.emit('drain');
      this.toldToWait = false;
    } catch (error) {
      this.replace(error);
    }
  }

  /** The answer must not go out as it is: an opaque error goes in its place, while that is still possible. */
  replace(error: unknown, given?: GivenHeaders): void {
    const { response } = this;
    if (this.replaced) return;
    const status = this.outgoing.report(error);
    const queue = this.queue ?? [];
    const headers = given ?? headersIn(queue.find(([method]) => method === 'writeHead')?.[1] ?? []);
    this.queue = undefined;
    this.replaced = true;
    this.stopPretending();
    for (const [method, args] of queue) this.drop(method, args);
    if (response.headersSent) {
      // A connection that breaks off is the only way left to tell the client.
      response.destroy(new Error('The session could not be saved'));
      return;
    }
    const body = JSON.stringify({ statusCode: status, message: STATUS_CODES[status] });
    dropBodyHeaders(response, headers);
    response.setHeader('Content-Type', 'application/json; charset=utf-8');
    response.setHeader('Content-Length', Buffer.byteLength(body));
    // Straight to the platform: what others wrapped around the response, such as compression, is passed by.
    this.make('writeHead', [status]);
    this.make('end', response.req.method === 'HEAD' ? [] : [body]);
    // Whoever waits to write on may do so: it goes nowhere, but its source ends.
    if (this.toldToWait) response.emit('drain');
  }

  private drop(method: Method, args: unknown[]): unknown {
    const callback = args.find((arg) => typeof arg === 'function');
    if (callback) process.nextTick(callback as () => void);
    return method === 'write' ? true : this.response;
  }

  private stopPretending(): void {
    delete (this.response as { headersSent?: boolean }).headersSent;
    delete (this.response as { writableEnded?: boolean }).writableEnded;
  }
}

/** `writeHead` takes headers second, or third after a reason. */
function headersAt([, second, third]: unknown[]): 1 | 2 {
  return typeof second === 'string' || third !== undefined ? 2 : 1;
}

function headersIn(writeHeadArgs: unknown[]): GivenHeaders {
  return writeHeadArgs[headersAt(writeHeadArgs)] as GivenHeaders;
}

function pretend(response: ServerResponse, property: 'headersSent' | 'writableEnded'): void {
  Object.defineProperty(response, property, { value: true, configurable: true });
}

function byteLength([chunk, encoding]: unknown[]): number {
  if (typeof chunk === 'string')
    return Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8');
  return (chunk as Uint8Array | undefined)?.byteLength ?? 0;
}
