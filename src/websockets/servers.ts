import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { SessionError } from '../errors.js';
import { isHandshake } from '../http/request.js';
import type { Handshakes, Refused } from './handshake.js';
import type { SocketRegistry } from './registry.js';
import type { IoSocket, WsSocket } from './sockets.js';

/*
 * Where the servers of socket.io and ws ask whether a handshake may become a socket, and tell of those that did.
 */

/** engine.io below socket.io. */
interface Engine {
  readonly clients: Readonly<Record<string, { readonly request?: IncomingMessage } | undefined>>;
  use(middleware: (request: EngineRequest, response: ServerResponse, next: () => void) => void): unknown;
  emit(event: 'connection_error', error: object): unknown;
}

type EngineRequest = IncomingMessage & { readonly _query?: { readonly sid?: string } };

interface Namespace {
  on(event: 'connection', listener: (socket: IoSocket) => void): unknown;
}

interface IoServer extends Namespace {
  readonly engine?: Engine;
  readonly _nsps: ReadonlyMap<string, Namespace>;
  on(event: 'connection', listener: (socket: IoSocket) => void): unknown;
  on(event: 'new_namespace', listener: (namespace: Namespace) => void): unknown;
}

type Done = (ok: boolean, status?: number, message?: string, headers?: object) => void;
interface ClientInfo {
  readonly req: IncomingMessage;
}
type VerifyClient = ((info: ClientInfo) => boolean) | ((info: ClientInfo, done: Done) => void);

interface WsServer {
  readonly options: { verifyClient?: VerifyClient | null };
  on(event: 'connection', listener: (socket: WsSocket, request: IncomingMessage) => void): unknown;
}

const guarded = new WeakSet<object>();

/**
 * Has a server of socket.io, one of its namespaces, or a server of ws ask before it accepts.
 *
 * @throws {SessionError} if it is none of these
 */
export function guardServer(server: any, handshakes: Handshakes, registry: SocketRegistry): void {
  if ('of' in server || 'sockets' in server) return guardIo(server, handshakes, registry);
  if ('handleUpgrade' in server && 'options' in server) return guardWs(server, handshakes, registry);
  throw new SessionError(
    `withSessions() goes around adapters that make servers of socket.io or ws; this one made ${server.constructor?.name ?? 'something else'}.`,
  );
}

function guardIo(
  made: IoServer & { server?: IoServer },
  handshakes: Handshakes,
  registry: SocketRegistry,
): void {
  // Where a gateway has a namespace, the adapter gives that.
  const io = made.server ?? made;
  const listen = (namespace: Namespace) => {
    if (guarded.has(namespace)) return;
    guarded.add(namespace);
    namespace.on('connection', (socket) => registry.add(socket, socket.request));
  };
  if (!guarded.has(io)) {
    guarded.add(io);
    const { engine } = io;
    if (typeof engine?.use !== 'function') {
      throw new SessionError(
        'withSessions(): the adapter made a server of socket.io that is attached to no HTTP server, or is older than 4.6.',
      );
    }
    // With any middleware, engine.io refuses WebTransport, which has no request to check.
    engine.use((request, response, next) => void admit(engine, handshakes, request, response, next));
    for (const namespace of io._nsps.values()) listen(namespace);
    io.on('new_namespace', listen);
  }
  if (made !== io) listen(made);
}

async function admit(
  engine: Engine,
  handshakes: Handshakes,
  request: EngineRequest,
  response: ServerResponse,
  next: () => void,
): Promise<void> {
  const sid = request._query?.sid;
  const client = sid !== undefined && Object.hasOwn(engine.clients, sid) ? engine.clients[sid] : undefined;
  const goesOn = client && !isHandshake(request);
  const refused = goesOn ? handshakes.goOn(request) : await handshakes.open(request, client?.request);
  if (refused === undefined) return next();
  const message = STATUS_CODES[refused]!;
  engine.emit('connection_error', { req: request, code: 4, message, context: { status: refused } });
  if (isHandshake(request)) answerUpgrade(request.socket, refused);
  else
    response
      .writeHead(refused, { 'Content-Type': 'application/json' })
      .end(JSON.stringify({ code: 4, message }));
}

/** Answers in the place of a response, which an upgrade has not. */
function answerUpgrade(socket: Duplex, status: number): void {
  const text = STATUS_CODES[status]!;
  socket.on('error', () => socket.destroy());
  socket.once('finish', () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} ${text}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
  );
}

function guardWs(server: WsServer, handshakes: Handshakes, registry: SocketRegistry): void {
  if (guarded.has(server)) return;
  guarded.add(server);
  const { options } = server;
  const { verifyClient } = options;
  options.verifyClient = (info: ClientInfo, done: Done) => {
    const own = (refused: Refused): unknown => {
      if (refused !== undefined) return done(false, refused, STATUS_CODES[refused]);
      if (!verifyClient) return done(true);
      if (verifyClient.length === 2)
        return (verifyClient as (info: ClientInfo, done: Done) => void)(info, done);
      return done((verifyClient as (info: ClientInfo) => boolean)(info));
    };
    // What the application's own check throws is its error, as it is without this one.
    handshakes
      .open(info.req)
      .then(own)
      .catch((error: unknown) =>
        process.nextTick(() => {
          throw error;
        }),
      );
  };
  server.on('connection', (socket, request) => registry.add(socket, request));
}
