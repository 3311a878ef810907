import {
  IncomingMessage,
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
  ServerResponse,
} from 'node:http';
import { Socket } from 'node:net';
import { parseSetCookie } from '../client.js';

/** A request that nobody sent. */
export function requestOf(ids: readonly string[]): IncomingMessage {
  const request = new IncomingMessage(new Socket());
  request.method = 'GET';
  request.url = '/';
  if (ids.length > 0) request.headers.cookie = ids.map((id) => `sid=${id}`).join('; ');
  return request;
}

/** A response that nobody receives, and what becomes of it. */
export class Unsent extends ServerResponse {
  /** Called when the headers go out, with the id in the cookie; empty if it is cleared. */
  tells: (id: string | undefined, status: number) => void = () => {};
  sentStatus: number | 'broken off' | undefined;
  private headersOut = () => {};
  private over = () => {};
  /** The headers went out, or never will. */
  readonly head = new Promise<void>((resolve) => (this.headersOut = resolve));
  /** All of it went out, or the connection broke off. */
  readonly whole = new Promise<void>((resolve) => (this.over = resolve));

  override writeHead(
    status: number,
    reason?: string | OutgoingHttpHeaders | OutgoingHttpHeader[],
    headers?: OutgoingHttpHeaders | OutgoingHttpHeader[],
  ): this {
    this.sentStatus = status;
    const [cookie] = [this.getHeader('set-cookie') ?? []].flat().map(String);
    this.tells(cookie === undefined ? undefined : parseSetCookie(cookie).value, status);
    super.writeHead(status, reason as string, headers);
    this.headersOut();
    return this;
  }

  override end(...args: any[]): this {
    super.end(...(args as []));
    this.over();
    return this;
  }

  override destroy(error?: Error): this {
    this.sentStatus = 'broken off';
    this.headersOut();
    this.over();
    return super.destroy(error);
  }
}
