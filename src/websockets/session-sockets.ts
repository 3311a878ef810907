import { Global, Inject, Injectable, Module, type OnModuleInit } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { Exchanges } from '../http/exchanges.js';
import { demandModule } from '../nest/session.loader.js';
import type { DefaultSessionData, StoredData } from '../session/session-data.js';
import type { Sessions } from '../session/sessions.js';
import { SocketRegistry } from './registry.js';

/** What a socket was opened for. It can be logged: nothing in it can be replayed. */
export interface SocketInfo<T = DefaultSessionData> {
  readonly handle: string;
  readonly userId: string | undefined;
  /** As it was at the handshake. */
  readonly data: StoredData<T>;
}

/** The open sockets of this node, by session and by user. */
@Injectable()
export class SessionSockets implements OnModuleInit {
  readonly #modules: ModuleRef;
  #found: Sessions | undefined;

  constructor(@Inject(ModuleRef) modules: ModuleRef) {
    this.#modules = modules;
  }

  /** @throws {SessionError} if `SessionModule` is not imported */
  onModuleInit(): void {
    void this.#sessions;
  }

  /** The sockets of a session: those of socket.io in all namespaces, or those of ws. */
  of<Socket = any>(handle: string): Socket[] {
    return this.#registry.of(handle) as Socket[];
  }

  /** The sockets of a user, of all sessions. */
  ofUser<Socket = any>(userId: string): Socket[] {
    return this.#registry.ofUser(userId) as Socket[];
  }

  /**
   * What a socket was opened for, also once it is closed; undefined if that was without a session.
   *
   * @param socket as a gateway has it
   */
  info<T = DefaultSessionData>(socket: object): SocketInfo<T> | undefined {
    const bound = this.#registry.boundOf(socket);
    if (bound?.handle === undefined) return undefined;
    const { handle, userId, data } = bound;
    const values = this.#sessions.valuesOf({ handle, userId, data });
    return { handle, userId, data: values.toJSON() as StoredData<T> };
  }

  /**
   * Closes the sockets of a session, as if it had ended, and says how many; the session itself lives on.
   *
   * @param handle of the session
   */
  close(handle: string): number {
    return this.#registry.end(handle);
  }

  get #registry(): SocketRegistry {
    return SocketRegistry.of(this.#sessions);
  }

  /** Looked for once all is made: a module that is not global cannot be injected here. */
  get #sessions(): Sessions {
    return (this.#found ??= demandModule(exchangesOf(this.#modules)).sessions);
  }
}

/** Has {@link SessionSockets} injected: import it once, beside `SessionModule`. */
@Global()
@Module({ providers: [SessionSockets], exports: [SessionSockets] })
export class SessionSocketsModule {}

function exchangesOf(modules: ModuleRef): Exchanges | undefined {
  try {
    return modules.get(Exchanges, { strict: false });
  } catch {
    return undefined;
  }
}
