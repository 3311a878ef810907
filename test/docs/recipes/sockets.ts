import type { IncomingMessage } from 'node:http';
import { Injectable } from '@nestjs/common';
import { SessionCookie, SessionStore } from 'nest-sessions';

@Injectable()
export class Sockets {
  constructor(
    private readonly store: SessionStore<{ messages: number }>,
    private readonly cookie: SessionCookie,
  ) {}

  /**
   * `request` is the handshake: in a gateway's `handleConnection` the second argument with the `ws` adapter,
   * `client.request` with socket.io.
   */
  async connected(request: IncomingMessage) {
    const id = this.cookie.read(request);
    const session = id === undefined ? undefined : await this.store.load(id);
    return session?.userId === undefined ? undefined : { id: session.id, userId: session.userId };
  }

  /** Fresh data each time, and `SessionGoneError` once the user has logged out. */
  message(id: string) {
    return this.store.tap(id, (data) => (data.messages = (data.messages ?? 0) + 1));
  }
}
