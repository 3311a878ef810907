import type { ServerResponse } from 'node:http';
import { Writable } from 'node:stream';
import { type Call, HeldCalls, type Next, type Status } from './held-calls.js';

/** The part of an HTTP/2 stream that a response uses. */
interface Stream {
  readonly headersSent: boolean;
  readonly headRequest: boolean;
}

const YES: PropertyDescriptor = { value: true, configurable: true };

export class HeldHttp2Calls extends HeldCalls {
  private readonly stream = (this.response as unknown as { stream: Stream }).stream;

  protected override isPlain(): boolean {
    return false;
  }

  protected override makeStandIn(): ServerResponse {
    const { response, stream, sent } = this;
    const Response = response.constructor as new (stream: Writable) => ServerResponse;
    const silent = new SilentStream(sent.head, stream.headRequest, response);
    // Node resets the stream of a response that is written to after its end.
    silent.on('error', (error) => response.destroy(error));
    return new Response(silent);
  }

  protected override statusOf({ statusCode }: ServerResponse): Status {
    return { statusCode };
  }

  protected override pretendHead(): void {
    Object.defineProperty(this.stream, 'headersSent', YES);
  }

  protected override pretendEnd(): void {
    Object.defineProperties(this.response, { writableEnded: YES, finished: YES });
  }

  protected override stopPretending(): void {
    delete (this.stream as { headersSent?: boolean }).headersSent;
    delete (this.response as { writableEnded?: boolean }).writableEnded;
    delete (this.response as { finished?: boolean }).finished;
  }

  protected override refuse(standIn: ServerResponse | undefined, { method, args }: Call): unknown {
    return (standIn![method] as Next).apply(standIn!, args);
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
