import type { ServerResponse } from 'node:http';

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

/** What a head has besides headers. HTTP/2 has no message. */
export interface Status {
  readonly statusCode: number;
  readonly statusMessage?: string;
}

/**
 * The calls that an application makes on its response while the session is being saved.
 *
 * Meanwhile the response pretends: for all that look at it, and for Node's own methods that change headers, what is held
 * was sent. And wherever a call is not plainly in order, a stand-in is asked first: a response of Node's own that leads
 * to no socket. So whatever Node refuses (a second answer, a wrong header, a write after the end) is refused by Node,
 * at the same place and with the same error, and only what Node takes is held (S58).
 */
export abstract class HeldCalls {
  /** In the order in which they were made. */
  readonly calls: Call[] = [];
  /** Whether a `write` was answered with false, so that its caller waits for `drain`. */
  toldToWait = false;
  /** Whether an answer went out past us meanwhile, by Node's own methods that somebody had kept. */
  overtaken = false;
  private standIn: ServerResponse | undefined;
  /** The status that the held head has, the one that the response showed then, and the one that was set since. */
  private status: { held: Status; shown: Status; later: Status } | undefined;
  private hasEnded = false;

  constructor(
    protected readonly response: ServerResponse,
    private readonly natives: Record<Method, Next>,
    protected readonly sent: Sent,
  ) {}

  /**
   * Takes one call.
   *
   * @returns what Node returns
   * @throws what Node throws; the call is not held then
   */
  take(call: Call): unknown {
    const { method, args, next } = call;
    const isWrapped = next !== this.natives[method];
    if (this.hasEnded && isLate(method, args)) return this.refuse(this.standIn, call);
    const isPlain = !this.standIn && !this.hasEnded && this.isPlain(method, args);
    const result = isPlain ? this.accept(method, args) : this.ask(call, isWrapped);
    // What a middleware around end() does with a call after it is its own affair, and seen when the call is made.
    if (method === 'end' && !isWrapped && !this.hasEnded) {
      this.hasEnded = true;
      this.pretendEnd();
    }
    this.calls.push(method === 'writeHead' ? { ...call, args: args.map(copyOf) } : call);
    if (result === false) this.toldToWait = true;
    if (method === 'write') return result;
    return method === 'flushHeaders' ? undefined : this.response;
  }

  /** Ends the pretence, so that the calls can be made: the head has the status of then, whatever was set since. */
  reveal(): void {
    this.stopPretending(this.hasHeldHead, this.hasEnded);
    if (!this.status) return;
    this.status.later = this.statusOf(this.response);
    this.setStatus(this.status.later, this.status.held);
  }

  /** After the calls: what was set since is there again, as it would be, for those that log it. */
  restore(): void {
    if (this.status) this.setStatus(this.status.shown, this.status.later);
  }

  protected get hasHeldHead(): boolean {
    return this.status !== undefined;
  }

  /** Whether Node is sure to take the call. */
  protected abstract isPlain(method: Method, args: unknown[]): boolean;
  /** A response that leads nowhere, and has its head if that was sent. */
  protected abstract makeStandIn(): ServerResponse;
  /** Refuses a call after the end, as Node does. */
  protected abstract refuse(standIn: ServerResponse | undefined, call: Call): unknown;
  protected abstract statusOf(response: ServerResponse): Status;
  protected abstract pretendHead(): void;
  protected abstract pretendEnd(): void;
  protected abstract stopPretending(head: boolean, end: boolean): void;

  private accept(method: Method, args: unknown[]): void {
    if (this.sent.head || this.hasHeldHead) return;
    const held = this.statusOf(this.response);
    const shown = method === 'writeHead' ? { ...held, statusCode: args[0] as number } : held;
    this.holdHead(held, shown);
  }

  private ask({ method, args }: Call, isWrapped: boolean): unknown {
    const standIn = this.standInNow();
    const held = standIn.headersSent ? undefined : this.statusOf(this.response);
    try {
      return rehearse(standIn, method, args, isWrapped);
    } finally {
      if (held && method === 'writeHead') this.copyHeaders(standIn);
      if (!standIn.headersSent) {
        // Refused. It is made anew, as status and headers may change.
        if (held) this.setStatus(held, this.statusOf(standIn));
        this.standIn = undefined;
      } else if (held) {
        this.holdHead(held, method === 'writeHead' ? this.statusOf(standIn) : held);
      }
    }
  }

  private standInNow(): ServerResponse {
    if (this.standIn) return this.standIn;
    const standIn = this.makeStandIn();
    this.standIn = standIn;
    if (!this.sent.head) {
      const { statusCode, statusMessage } = this.status?.held ?? this.statusOf(this.response);
      standIn.statusCode = statusCode;
      if (statusMessage) standIn.statusMessage = statusMessage;
      const headers = this.response.getHeaders();
      for (const name of Object.keys(headers)) standIn.setHeader(name, headers[name]!);
    }
    for (const { method, args, next } of this.calls) {
      rehearse(standIn, method, args, next !== this.natives[method]);
    }
    return standIn;
  }

  private holdHead(held: Status, shown: Status): void {
    this.status = { held, shown, later: shown };
    this.setStatus(held, shown);
    this.pretendHead();
  }

  /** Sets what differs, as each setting costs. */
  private setStatus(from: Status, to: Status): void {
    if (from.statusCode !== to.statusCode) this.response.statusCode = to.statusCode;
    if (from.statusMessage !== to.statusMessage) this.response.statusMessage = to.statusMessage!;
  }

  /** `writeHead` leaves headers on a response that has some, even if it throws. */
  private copyHeaders(standIn: ServerResponse): void {
    const { response } = this;
    for (const name of namesOf(standIn)) {
      const value = standIn.getHeader(name)!;
      if (response.getHeader(name) !== value) response.setHeader(name, value);
    }
  }
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
  const copy: Record<string, unknown> = { ...argument };
  for (const name of Object.keys(copy)) if (Array.isArray(copy[name])) copy[name] = copyOf(copy[name]);
  return copy;
}

/** As they are written, where the response knows. Pseudo-headers of HTTP/2 are none. */
function namesOf(response: ServerResponse): string[] {
  const { getRawHeaderNames = response.getHeaderNames } = response as { getRawHeaderNames?: () => string[] };
  return getRawHeaderNames.call(response).filter((name) => !name.startsWith(':'));
}
