import type { INestApplication, WebSocketAdapter } from '@nestjs/common';
import { SessionOptionsError } from '../errors.js';
import { exchangesOf } from '../nest/application.js';
import { Handshakes } from './handshake.js';
import { Message } from './messages.js';
import { type SessionSocketsOptions, socketSettings } from './options.js';
import { SocketRegistry } from './registry.js';
import { guardServer } from './servers.js';
import type { AnySocket } from './sockets.js';

const wrapped = new WeakSet<object>();

/**
 * Gives the gateways of an application its sessions: handshakes are checked before they become sockets, handlers of
 * messages have `@Session()`, and sockets are closed when their session ends.
 *
 * @param adapter an `IoAdapter`, a `WsAdapter`, or one that extends either; it is the one that is returned
 * @param app with `SessionModule` among its imports
 * @throws {SessionOptionsError} if an argument or an option is wrong, or the adapter has sessions already
 * @throws {SessionError} if the application does not import SessionModule
 *
 * @example
 * app.useWebSocketAdapter(withSessions(new IoAdapter(app), app, { require: 'user' }));
 */
export function withSessions<Adapter extends WebSocketAdapter>(
  adapter: Adapter,
  app: INestApplication,
  options: SessionSocketsOptions = {},
): Adapter {
  const settings = socketSettings(options);
  if (typeof adapter?.create !== 'function' || typeof adapter.bindMessageHandlers !== 'function') {
    throw new SessionOptionsError(
      'withSessions: the first argument must be an adapter of WebSockets, such as new IoAdapter(app)',
    );
  }
  if (wrapped.has(adapter)) {
    throw new SessionOptionsError('withSessions: this adapter has sessions already; go around it once');
  }
  const exchanges = exchangesOf(app, 'withSessions(adapter, app)');
  const registry = SocketRegistry.of(exchanges.sessions);
  registry.checkEvery = settings.checkEvery;
  const handshakes = new Handshakes(exchanges, registry, settings, app.getHttpAdapter());
  const parts = { exchanges, registry };
  const { create, bindMessageHandlers } = adapter;
  wrapped.add(adapter);

  adapter.create = (...args) => {
    const server: object = create.apply(adapter, args);
    guardServer(server, handshakes, registry);
    return server;
  };
  adapter.bindMessageHandlers = (socket: AnySocket, handlers, transform) => {
    const bound = registry.boundOf(socket);
    // Nest makes these for one socket, and only what answers is ours.
    for (const handler of handlers) {
      const { callback, message } = handler;
      handler.callback = (...args: unknown[]) =>
        new Message(parts, socket, bound, callback, message, args).answer();
    }
    return bindMessageHandlers.call(adapter, socket, handlers, transform);
  };
  return adapter;
}
