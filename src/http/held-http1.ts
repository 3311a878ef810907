import { ServerResponse, validateHeaderName, validateHeaderValue } from 'node:http';
import { type Call, HeldCalls, type Method, type Status } from './held-calls.js';

/** Fields of Node's own responses of HTTP/1; on-headers, compression and Express look at some of them too. */
interface Fields {
  _header: string | null;
  readonly _headerSent: boolean;
  _trailer: string;
  finished: boolean;
  readonly req: object & { socket: { server?: Server; end(): void } | null };
}

interface Server {
  readonly rejectNonStandardBodyWrites?: boolean;
  closeIdleConnections?(): void;
}

/**
 * What a response has for a head while that is held. Should somebody send by Node's own methods, kept from before, the
 * answer has no length to disagree with, and is the last one on its connection.
 */
const HELD_HEAD = 'HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\n';

export class HeldHttp1Calls extends HeldCalls {
  private readonly fields = this.response as unknown as Fields;
  /** The trailers as they were when `end` was called. */
  private trailer = '';
  /** Carries out what was put off. */
  private goOn: (() => void) | undefined;

  protected override isPlain(method: Method, args: unknown[]): boolean {
    const { response, sent, hasHeldHead } = this;
    if (response.destroyed) return false;
    const hasHead = sent.head || hasHeldHead;
    if (method === 'writeHead') {
      const [statusCode, headers, more] = args;
      // On a response that has headers already, those that are given are set as well.
      if (hasHead || more !== undefined || response.getHeaderNames().length > 0) return false;
      return isStatus(statusCode, response.statusMessage) && areHeaders(headers);
    }
    if (method !== 'end' || response.strictContentLength || !isBody(args)) return false;
    if (serverOf(this.fields)?.rejectNonStandardBodyWrites) return false;
    return (
      hasHead || (isStatus(response.statusCode, response.statusMessage) && !response.hasHeader('Trailer'))
    );
  }

  protected override makeStandIn(): ServerResponse {
    const { response, fields, sent } = this;
    const Response = ServerResponse as unknown as new (request: object, options: object) => ServerResponse;
    const standIn = new Response(fields.req, serverOf(fields) ?? {});
    standIn.destroyed = response.destroyed;
    standIn.strictContentLength = response.strictContentLength;
    if (!sent.head) return standIn;
    if (Number.isFinite(sent.length)) standIn.setHeader('Content-Length', sent.length);
    standIn.writeHead(200);
    // So that Node counts on.
    if (standIn.strictContentLength && sent.bytes > 0) standIn.write(Buffer.alloc(sent.bytes));
    return standIn;
  }

  protected override statusOf({ statusCode, statusMessage }: ServerResponse): Status {
    return { statusCode, statusMessage };
  }

  protected override pretendHead(): void {
    this.fields._header = HELD_HEAD;
  }

  protected override pretendEnd(): void {
    this.trailer = this.fields._trailer;
    this.fields.finished = true;
    keepWhileServerCloses(this.fields);
  }

  protected override stopPretending(head: boolean, end: boolean): void {
    const { fields } = this;
    if (head) {
      this.overtaken = fields._headerSent;
      if (this.overtaken) fields.req.socket?.end();
      else fields._header = null;
    }
    if (!end) return;
    fields._trailer = this.trailer;
    fields.finished = false;
    pretending.delete(fields);
    this.goOn?.();
  }

  /** Node does, as the response has ended for it. */
  protected override refuse(_standIn: unknown, { next, args }: Call): unknown {
    this.putOffDestroy();
    return next.apply(this.response, args);
  }

  /**
   * Who is refused may destroy the response, as `pipeline` does. What had been said before would be on its way by then,
   * so it goes out first.
   */
  private putOffDestroy(): void {
    const { response } = this;
    if (this.goOn) return;
    const own = Object.getOwnPropertyDescriptor(response, 'destroy');
    let destroy: (() => void) | undefined;
    response.destroy = (error) => {
      destroy ??= () => void response.destroy(error);
      return response;
    };
    this.goOn = () => {
      delete (response as { destroy?: unknown }).destroy;
      if (own) Object.defineProperty(response, 'destroy', own);
      if (destroy) process.nextTick(destroy);
    };
  }
}

function isStatus(code: unknown, message: string | undefined): boolean {
  return Number.isInteger(code) && (code as number) >= 100 && (code as number) <= 999 && !message;
}

function isBody([chunk, encoding]: unknown[]): boolean {
  if (chunk === undefined || chunk === null || typeof chunk === 'function') return true;
  if (typeof chunk !== 'string') return chunk instanceof Uint8Array;
  return typeof encoding === 'string'
    ? Buffer.isEncoding(encoding)
    : !encoding || typeof encoding === 'function';
}

function areHeaders(headers: unknown): boolean {
  if (headers === undefined) return true;
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) return false;
  try {
    for (const [name, value] of Object.entries(headers)) {
      validateHeaderName(name);
      for (const each of Array.isArray(value) ? value : [value]) validateHeaderValue(name, each);
      if (name.length === 7 && name.toLowerCase() === 'trailer') return false;
    }
    return true;
  } catch {
    return false;
  }
}

function serverOf(fields: Fields): Server | undefined {
  return fields.req.socket?.server;
}

/** Responses whose `end` is held. */
const pretending = new Set<Fields>();
const guarded = new WeakSet<Server>();

/** A server that closes ends the connections of responses that are finished: those that only pretend have to stay. */
function keepWhileServerCloses(fields: Fields): void {
  pretending.add(fields);
  const server = serverOf(fields);
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
