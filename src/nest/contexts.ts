import type { ArgumentsHost, ExecutionContext } from '@nestjs/common';
import { SessionError } from '../errors.js';
import type { Ask } from '../http/exchange.js';
import type { AnyResponse, CookieRequest } from '../http/request.js';

/** Metadata of a route or a controller: how it asks for the session. */
export const ASK = Symbol('nest-sessions.ask');

/** A request as a context of Nest holds it. */
export interface RequestInContext {
  readonly request: CookieRequest;
  /** Undefined where the request leads to it. */
  readonly response: AnyResponse | undefined;
}

/**
 * Where the request is in a context of Nest: the one place that knows. Undefined for contexts that have none, such as
 * those of microservices.
 */
export function requestIn(host: ArgumentsHost): RequestInContext | undefined {
  switch (host.getType<string>()) {
    case 'http':
      return { request: host.getArgByIndex(0), response: host.getArgByIndex(1) };
    case 'graphql': {
      // Arguments of a resolver: parent, arguments, the context that the driver made, info.
      const context: { req?: CookieRequest; res?: AnyResponse; reply?: AnyResponse } | undefined =
        host.getArgByIndex(2);
      return context?.req && { request: context.req, response: context.res ?? context.reply };
    }
    default:
      return undefined;
  }
}

/** @throws {SessionError} where there is no request */
export function demandRequest(host: ArgumentsHost): RequestInContext {
  const found = requestIn(host);
  if (found) return found;
  throw new SessionError(
    `This context of type "${host.getType()}" has no request that a session could come with: ` +
      'load() the session by its id, or pass a request and its response to SessionStore.of().',
  );
}

const asks = new WeakMap<object, WeakMap<object, Ask>>();
const NONE: Ask = Object.freeze({});

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
