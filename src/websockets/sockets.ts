import type { IncomingMessage } from 'node:http';
import type { Awaitable } from '../awaitable.js';
import type { SessionRecord } from '../storage/record.js';

/*
 * The sockets of socket.io and ws, as far as they are used here. Neither package is imported, not even its types: who
 * uses one need not install the other.
 */

/** A socket of a namespace. Those of one connection share its handshake. */
export interface IoSocket {
  readonly request: IncomingMessage;
  emit(event: string, ...data: unknown[]): unknown;
  disconnect(close: boolean): unknown;
  on(event: 'disconnect', listener: () => void): unknown;
  /** All that goes out passes here, answers included. */
  packet(...args: unknown[]): unknown;
}

export interface WsSocket {
  send(...args: unknown[]): unknown;
  close(code: number, reason: string): unknown;
  on(event: 'close', listener: () => void): unknown;
}

export type AnySocket = IoSocket | WsSocket;

export const isIo = (socket: AnySocket): socket is IoSocket => 'disconnect' in socket && 'packet' in socket;

/** What a connection was opened for, as its handshake found it. */
export interface Bound {
  /** Undefined: it was opened without a session. */
  readonly handle: string | undefined;
  readonly userId: string | undefined;
  readonly data: SessionRecord['data'];
  readonly expiresAt: number;
  /** Whether its messages count as use. */
  readonly counts: boolean;
  /** How many changes the registry had seen before the session was read. */
  readonly seen: number;
  /** Its sockets are closed, or about to be: no message of theirs reaches a handler. */
  hasEnded: boolean;
  /** Its messages that have asked for the session and are not done; undefined while there was none. */
  running: Set<Running> | undefined;
}

/** A message under way. */
export interface Running {
  /** It has ended the session itself: its answer goes out before the sockets are closed. */
  readonly isLeaving: boolean;
  /** Saves what it has changed so far; never fails. */
  save(): Awaitable<unknown>;
}

/** RFC 6455 §7.4.2: 4000 to 4999 are for applications. */
const ENDED = 4401;

/** Tells the clients that the session has ended, every namespace of a connection first, and closes the connections. */
export function hangUp(sockets: readonly AnySocket[]): void {
  for (const socket of sockets) if (isIo(socket)) socket.emit('session:ended');
  for (const socket of sockets) {
    if (isIo(socket)) socket.disconnect(true);
    else socket.close(ENDED, 'session ended');
  }
}
