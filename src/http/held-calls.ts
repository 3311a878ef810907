import { ServerResponse } from 'node:http';
import { Writable } from 'node:stream';

export type Method = 'writeHead' | 'write' | 'end' | 'flushHeaders';
export type Next = (this: ServerResponse, ...args: any[]) => unknown;

/** A call of the application, and whose method is next: the platform's own, or that of a middleware around it. */
export interface Call {
  readonly method: Method;
  readonly args: unknown[];
  readonly next: Next;
}

/** What of a response went out before its calls were held. */
export interface Sent {
  readonly head: boolean;
  /** Bytes of the body. */
  readonly bytes: number;
  /** Of the body, as the head has it; infinite if it does not. */
  readonly length: number;
}

/**
 * The calls that an application makes on its response while the session is being saved.
 *
 * A stand-in takes them first: a response of Node's own that leads to no socket. So whatever Node refuses (a second
 * answer, a wrong header, a write after the end) is refused by Node, at the same place and with the same error, and
 * only what Node takes is held (S58). Meanwhile the real response pretends: for all that look at it, and for Node's own
 * methods that change headers, what is held was sent.
 */
export abstract class HeldCalls {
  /** In the order in which they were made. */
  readonly calls: Call[] = [];
  /** Whether a `write` was answered with false, so that its caller waits for `drain`. */
  toldToWait = false;
  private standIn: ServerResponse | undefined;
  /** The status that the held head has, the one that the response showed then, and the one that was set since. */
  private status: { held: Status; shown: Status; later: Status | undefined } | undefined;

  constructor(
    protected readonly response: ServerResponse,
    private readonly natives: Record<Method, Next>,
    protected readonly sent: Sent,
  ) {}

  /** Whether an answer went out past us, by Node's own methods that somebody had kept. */
  abstract readonly overtaken: boolean;

  /**
   * Takes one call.
   *
   * @returns what Node returns
   * @throws what Node throws; the call is not held then
   */
  take(call: Call): unknown {
    const { method, args, next } = call;
    // Made anew until it has a head: status and headers may have changed since one was refused.
    if (!this.standIn?.headersSent) this.standIn = this.makeStandIn();
    const { standIn } = this;
    const isWrapped = next !== this.natives[method];
    // What a middleware does with a call after the end is its own affair, and seen when the call is made.
    if (!isWrapped && standIn.writableEnded && isLate(method, args)) return this.refuse(standIn, call);
    const status = standIn.headersSent ? undefined : this.statusOf(this.response);
    let result: unknown;
    try {
      result = rehearse(standIn, method, args, isWrapped);
    } finally {
      if (method === 'writeHead') this.copyHead(standIn);
      this.pretend(standIn);
      if (status && standIn.headersSent) {
        this.status = { held: status, shown: this.statusOf(this.response), later: undefined };
      }
    }
    this.calls.push(method === 'writeHead' ? { ...call, args: args.map(copyOf) } : call);
    if (result === false) this.toldToWait = true;
    if (method === 'write') return result;
    return method === 'flushHeaders' ? undefined : this.response;
  }

  /** Ends the pretence, so that the calls can be made: the head has the status of then, whatever was set since. */
  reveal(): void {
    this.stopPretending();
    if (!this.status) return;
    this.status.later = this.statusOf(this.response);
    Object.assign(this.response, this.status.held);
  }

  /** After the calls: what was set since is there again, as it would be, for those that log it. */
  restore(): void {
    const { shown, later } = this.status ?? {};
    if (!shown || !later) return;
    for (const key of Object.keys(later) as (keyof Status)[]) {
      if (later[key] !== shown[key]) Object.assign(this.response, { [key]: later[key] });
    }
  }

  protected abstract makeStandIn(): ServerResponse;
  protected abstract statusOf(response: ServerResponse): Status;
  protected abstract pretend(standIn: ServerResponse): void;
  protected abstract stopPretending(): void;
  protected abstract refuse(standIn: ServerResponse, call: Call): unknown;

  /** What `writeHead` leaves on a response, even if it throws. */
  private copyHead(standIn: ServerResponse): void {
    const { response } = this;
    // Once the response pretends, Node's own methods have refused already.
    if (response.headersSent) return;
    Object.assign(response, this.statusOf(standIn));
    for (const name of namesOf(standIn)) {
      const value = standIn.getHeader(name)!;
      if (response.getHeader(name) !== value) response.setHeader(name, value);
    }
  }
}

/** What a head has besides headers. */
interface Status {
  statusCode: number;
  statusMessage?: string;
  sendDate: boolean;
}

/** What Node refuses once `end` was called; an `end` without a chunk is none of it. */
export function isLate(method: Method, [chunk]: unknown[]): boolean {
  return method === 'write' || (method === 'end' && Boolean(chunk) && typeof chunk !== 'function');
}

function rehearse(standIn: ServerResponse, method: Method, args: unknown[], isWrapped: boolean): unknown {
  if (method === 'writeHead') return standIn.writeHead(...(args as [number]));
  if (method === 'flushHeaders') return standIn.flushHeaders();
  // Callbacks are for the real call.
  const [chunk, encoding] = args.map((arg) => (typeof arg === 'function' ? undefined : arg));
  if (typeof chunk === 'string' && typeof encoding === 'string' && !Buffer.isEncoding(encoding)) {
    // A socket would notice. Node throws the same here.
    Buffer.from(chunk, encoding as BufferEncoding);
  }
  if (method === 'write') return standIn.write(chunk, encoding as BufferEncoding);
  if (!isWrapped) return standIn.end(chunk, encoding as BufferEncoding);
  standIn.flushHeaders();
  if (chunk) standIn.write(chunk, encoding as BufferEncoding);
  return undefined;
}

/** Headers that were given may be changed by their owner before they are sent; Fastify does. */
function copyOf(argument: unknown): unknown {
  if (Array.isArray(argument)) return argument.map(copyOf);
  if (typeof argument !== 'object' || argument === null) return argument;
  return Object.fromEntries(Object.entries(argument).map(([name, value]) => [name, copyOf(value)]));
}

/** As they are written, where the response knows. Pseudo-headers of HTTP/2 are none. */
function namesOf(response: ServerResponse): string[] {
  const { getRawHeaderNames = response.getHeaderNames } = response as { getRawHeaderNames?: () => string[] };
  return getRawHeaderNames.call(response).filter((name) => !name.startsWith(':'));
}

function copyHeaders(from: ServerResponse, to: ServerResponse): void {
  const headers = from.getHeaders();
  for (const name of Object.keys(headers)) to.setHeader(name, headers[name]!);
}

/** Fields of Node's own responses of HTTP/1 that are no methods; others read some of them too, on-headers for one. */
interface Http1Fields {
  _header: string | null;
  readonly _headerSent: boolean;
  _trailer: string;
  finished: boolean;
  readonly req: object & { socket: { server?: HttpServer } | null };
}

interface HttpServer {
  readonly rejectNonStandardBodyWrites?: boolean;
  closeIdleConnections?(): void;
}

class HeldHttp1 extends HeldCalls {
  private readonly fields = this.response as unknown as Http1Fields;
  private pretendsHead = false;
  /** The trailers as they were when `end` was called, once the response pretends that it has ended. */
  private trailer: string | undefined;

  get overtaken(): boolean {
    return this.pretendsHead && this.fields._headerSent;
  }

  protected override makeStandIn(): ServerResponse {
    const { response, fields, sent } = this;
    const Response = ServerResponse as unknown as new (request: object, options: object) => ServerResponse;
    const standIn = new Response(fields.req, {
      highWaterMark: response.writableHighWaterMark,
      rejectNonStandardBodyWrites: fields.req.socket?.server?.rejectNonStandardBodyWrites,
    });
    standIn.destroyed = response.destroyed;
    standIn.strictContentLength = response.strictContentLength;
    if (sent.head) {
      if (Number.isFinite(sent.length)) standIn.setHeader('Content-Length', sent.length);
      standIn.writeHead(200);
      // So that Node counts on.
      if (standIn.strictContentLength && sent.bytes > 0) standIn.write(Buffer.alloc(sent.bytes));
      return standIn;
    }
    Object.assign(standIn, this.statusOf(this.response));
    copyHeaders(response, standIn);
    return standIn;
  }

  protected override statusOf({ statusCode, statusMessage, sendDate }: ServerResponse): Status {
    return { statusCode, statusMessage, sendDate };
  }

  protected override pretend(standIn: ServerResponse): void {
    const { fields, response } = this;
    if (standIn.headersSent && !fields._header) {
      this.pretendsHead = true;
      fields._header = (standIn as unknown as Http1Fields)._header;
      response.statusMessage = standIn.statusMessage;
    }
    if (!standIn.writableEnded || this.trailer !== undefined) return;
    this.trailer = fields._trailer;
    fields.finished = true;
    keepWhileServerCloses(fields);
  }

  protected override stopPretending(): void {
    const { fields } = this;
    if (this.pretendsHead && !this.overtaken) fields._header = null;
    if (this.trailer === undefined) return;
    fields._trailer = this.trailer;
    fields.finished = false;
    pretending.delete(fields);
  }

  /** Node does, as the response has ended for it. */
  protected override refuse(_standIn: ServerResponse, { next, args }: Call): unknown {
    return next.apply(this.response, args);
  }
}

/** Responses whose `end` is held. */
const pretending = new Set<Http1Fields>();
const guarded = new WeakSet<HttpServer>();

/** A server that closes ends the connections of responses that are finished: those that only pretend have to stay. */
function keepWhileServerCloses(fields: Http1Fields): void {
  pretending.add(fields);
  const server = fields.req.socket?.server;
  if (!server?.closeIdleConnections || guarded.has(server)) return;
  guarded.add(server);
  const { closeIdleConnections } = server;
  server.closeIdleConnections = function () {
    for (const each of pretending) each.finished = false;
    try {
      closeIdleConnections.call(this);
    } finally {
      for (const each of pretending) each.finished = true;
    }
  };
}

/** The part of an HTTP/2 stream that a response uses. */
interface Http2Stream {
  readonly headersSent: boolean;
  readonly headRequest: boolean;
}

class HeldHttp2 extends HeldCalls {
  private readonly stream = (this.response as unknown as { stream: Http2Stream }).stream;

  /** Headers go to the stream, and that pretends: nobody can send them past us. */
  readonly overtaken = false;

  protected override makeStandIn(): ServerResponse {
    const { response, stream, sent } = this;
    const Response = response.constructor as new (stream: Writable) => ServerResponse;
    const silent = new SilentStream(sent.head, stream.headRequest, response);
    // Node resets the stream of a response that is written to after its end.
    silent.on('error', (error) => response.destroy(error));
    const standIn = new Response(silent);
    if (sent.head) return standIn;
    Object.assign(standIn, this.statusOf(this.response));
    copyHeaders(response, standIn);
    return standIn;
  }

  protected override statusOf({ statusCode, sendDate }: ServerResponse): Status {
    return { statusCode, sendDate };
  }

  protected override pretend(standIn: ServerResponse): void {
    const shown = { value: true, configurable: true };
    if (standIn.headersSent && !this.sent.head) Object.defineProperty(this.stream, 'headersSent', shown);
    if (standIn.writableEnded)
      Object.defineProperties(this.response, { writableEnded: shown, finished: shown });
  }

  protected override stopPretending(): void {
    delete (this.stream as { headersSent?: boolean }).headersSent;
    delete (this.response as { writableEnded?: boolean }).writableEnded;
    delete (this.response as { finished?: boolean }).finished;
  }

  protected override refuse(standIn: ServerResponse, { method, args }: Call): unknown {
    return (standIn[method] as Next).apply(standIn, args);
  }
}

/** A stream of HTTP/2 that sends nothing, and so never has room again. */
class SilentStream extends Writable {
  constructor(
    public headersSent: boolean,
    readonly headRequest: boolean,
    private readonly response: ServerResponse,
  ) {
    super();
  }

  /** A real stream looks at the status, and so does the response where it is set. */
  respond(headers: Record<string, unknown>): void {
    this.response.statusCode = headers[':status'] as number;
    this.headersSent = true;
  }

  override _write(): void {
    // Never called back.
  }
}

/** Holds the calls of a response of either kind. */
export function heldCalls(response: ServerResponse, natives: Record<Method, Next>, sent: Sent): HeldCalls {
  return response instanceof ServerResponse
    ? new HeldHttp1(response, natives, sent)
    : new HeldHttp2(response, natives, sent);
}
