import {
  type ArgumentsHost,
  type ExecutionContext,
  ForbiddenException,
  type HttpException,
} from '@nestjs/common';
import type { Awaitable } from '../awaitable.js';
import { SessionError } from '../errors.js';
import { SessionCrossOriginError } from '../errors.http.js';
import type { Exchange } from '../http/exchange.js';
import { type Ask, type Exchanges, exchangeOfRequest } from '../http/exchanges.js';
import { type AnyResponse, type CookieRequest, rawOf } from '../http/request.js';

/** Metadata of a route or a controller: how it asks for the session. */
export const ASK = Symbol('nest-sessions.ask');
/** Where there is no route. */
const NONE: Ask = Object.freeze({});

/** A request as a context of Nest holds it. */
export interface RequestInContext {
  readonly request: CookieRequest;
  /** Undefined where the request leads to it. */
  readonly response: AnyResponse | undefined;
  /** The context that a GraphQL driver made for one operation. */
  readonly operation?: object | undefined;
  /** Whether a field of GraphQL asks, and not a query, a mutation or a route. */
  readonly isField?: boolean;
  readonly message?: undefined;
}

/** A message of a socket as a context of Nest holds it: there is no request but that of the handshake. */
export interface MessageInContext {
  readonly message: SocketMessage;
  readonly operation?: undefined;
  readonly isField?: undefined;
}

/** An exchange whose session is loaded. */
export type OpenExchange = Pick<Exchange, 'session' | 'locked'>;

/** Stands among the arguments of a handler of messages, where the adapter of `nest-sessions/websockets` put it. */
export abstract class SocketMessage {
  /** Undefined until it is asked for. */
  abstract readonly session: OpenExchange['session'];

  /** @throws {WsException} if the session of the socket has ended, or cannot be read */
  abstract open(exchanges: Exchanges, ask: Ask): Awaitable<OpenExchange>;

  /** The error that tells the client of a socket what this one tells the client of a request. */
  abstract exceptionOf(error: HttpException): Error;
}

/** What GraphQL drivers for Nest put into the context of an operation. */
interface GraphqlContext {
  /** The platform's request; of a subscription with graphql-ws the connection, which leads to its handshake. */
  readonly req?: CookieRequest & { readonly extra?: { readonly request?: CookieRequest } };
  /** The response, where the driver or the application put it. */
  readonly res?: AnyResponse;
  readonly reply?: AnyResponse & { readonly request?: CookieRequest };
}

/** @nestjs/mercurius gives all requests one object, and in it the first request of all. */
const SHARED_CONTEXT =
  '"req" of this GraphQL context is not the request that is answered, so its session may be somebody else\'s: ' +
  'make the option "context" of the driver a function that returns a new object each time.';

/**
 * Where the request, or the message of a socket, is in a context of Nest: the one place that knows. Undefined for contexts that have none, such as
 * those of microservices.
 *
 * @throws {SessionError} if a GraphQL context has another operation's
 */
export function requestIn(host: ArgumentsHost): RequestInContext | MessageInContext | undefined {
  switch (host.getType<string>()) {
    case 'http':
      return { request: host.getArgByIndex<CookieRequest>(0), response: host.getArgByIndex(1) };
    case 'graphql': {
      // A resolver gets parent, arguments, context and info; one that resolves a reference gets no arguments.
      const operation: GraphqlContext | undefined = host.getArgByIndex(host.getArgs().length === 3 ? 1 : 2);
      const request = operation?.req?.extra?.request ?? operation?.req;
      if (!request) return undefined;
      const { res, reply } = operation!;
      if (reply?.request && rawOf(reply.request) !== rawOf(request)) throw new SessionError(SHARED_CONTEXT);
      const info: { path?: { prev?: unknown } } | undefined = host.getArgs().at(-1);
      return { request, response: res ?? reply, operation, isField: info?.path?.prev !== undefined };
    }
    case 'ws': {
      const message = host.getArgs().find((argument) => argument instanceof SocketMessage);
      return message && { message };
    }
    default:
      return undefined;
  }
}

/** @throws {SessionError} where there is no request */
export function demandRequest(host: ArgumentsHost): RequestInContext | MessageInContext {
  const found = requestIn(host);
  if (found) return found;
  throw new SessionError(
    `A session comes with a request, and ${whyNoRequest(host)}. ` +
      'Elsewhere, load() the session by its id, or pass a request and its response to SessionStore.of().',
  );
}

/** What follows "needs a request, and". */
export function whyNoRequest(host: ArgumentsHost): string {
  const type = host.getType<string>();
  switch (type) {
    case 'graphql':
      return (
        'this GraphQL context has none in "req", where the option "context" of the driver puts it ' +
        '(for subscriptions on Mercurius: "subscription.context")'
      );
    case 'ws':
      return (
        'this socket was not opened through withSessions() of nest-sessions/websockets, ' +
        'which goes around the adapter that main.ts gives to useWebSocketAdapter()'
      );
    default:
      return `a context of type "${type}" has none`;
  }
}

/** An error as the client of this context understands it. */
export function errorIn(host: ArgumentsHost, error: HttpException): Error {
  return requestIn(host)?.message?.exceptionOf(error) ?? error;
}

/**
 * Opens the session of the request in a context, as its route asks: it is a use, though a guard for all routes looked
 * before without being one. A field of GraphQL and an exception filter leave that to what was asked before.
 *
 * @param asked overrides the route's word
 * @throws {SessionCrossOriginError} if the request may not open it (S61)
 */
export function openIn(
  host: ArgumentsHost,
  found: RequestInContext | MessageInContext,
  exchanges: Exchanges,
  asked: Ask = NONE,
): Awaitable<OpenExchange> {
  const route = askOf(host);
  const touch = asked.touch ?? route.touch ?? (found.isField || route === NONE ? undefined : true);
  if (found.message) return found.message.open(exchanges, { touch });
  const { request, response, operation } = found;
  const ask = { touch, crossOrigin: asked.crossOrigin ?? route.crossOrigin };
  if (!operation) return exchanges.open(request, response, ask);
  return refusing(operation, () => exchanges.open(request, response, ask, operation));
}

/** Runs a check of the origin. GraphQL tells clients what an error's message says, and there is nothing to tell. */
export function refusing<T>(operation: object | undefined, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!operation || !(error instanceof SessionCrossOriginError)) throw error;
    const { code, name } = error;
    throw Object.assign(new ForbiddenException(undefined, { cause: error }), { code, name });
  }
}

/** Whose sessions a server's requests have; undefined where there are several modules of sessions. */
const served = new WeakMap<object, Exchanges | undefined>();

/** @param servers what requests lead to: an HTTP server, an application of Express */
export function serve(exchanges: Exchanges, ...servers: (object | undefined)[]): void {
  for (const server of servers) {
    if (!server) continue;
    const known = served.has(server) && served.get(server) !== exchanges;
    served.set(server, known ? undefined : exchanges);
  }
}

/** Where a field's sessions come from: no loader ran for it, in which Nest would have injected them. */
export function exchangesOf({ request, operation }: RequestInContext): Exchanges | undefined {
  const opened = exchangeOfRequest(request, operation);
  if (opened) return opened.module;
  const { app, server } = request as { app?: object; server?: { server?: object } };
  const { socket } = rawOf(request) as { socket?: { server?: object } | null };
  // On Express, what may listen are servers of the application's own; on Fastify, what injects has no socket.
  const found = [app, server?.server, socket?.server].find((one) => one !== undefined && served.has(one));
  return found && served.get(found);
}

const asks = new WeakMap<object, WeakMap<object, Ask>>();

/** How the route of a context asks for its session: the method's word before the controller's. */
export function askOf(context: ArgumentsHost): Ask {
  const { getClass, getHandler } = context as Partial<ExecutionContext>;
  const controller = getClass?.call(context);
  const handler = getHandler?.call(context);
  if (!controller || !handler) return NONE;
  let ofController = asks.get(controller);
  if (!ofController) asks.set(controller, (ofController = new WeakMap()));
  let ask = ofController.get(handler);
  if (!ask) {
    ask = { ...Reflect.getMetadata(ASK, controller), ...Reflect.getMetadata(ASK, handler) } as Ask;
    ofController.set(handler, ask);
  }
  return ask;
}

/** Adds to how a route, or a controller's routes, ask. */
export function asking(ask: Ask): MethodDecorator & ClassDecorator {
  return (target: object, _key?: string | symbol, descriptor?: PropertyDescriptor) => {
    const of = (descriptor?.value as object | undefined) ?? target;
    Reflect.defineMetadata(ASK, { ...(Reflect.getOwnMetadata(ASK, of) as Ask | undefined), ...ask }, of);
  };
}
