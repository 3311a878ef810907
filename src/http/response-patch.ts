import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Natives, type Outgoing, SaveBeforeSend } from './save-before-send.js';

/**
 * Where a request remembers what belongs to it, and where its response finds its net. One property, and not
 * two, nor a WeakMap: on Express every property that is added costs microseconds, see {@link attach}, and
 * so does the garbage collection of a WeakMap whose keys live as long as requests do.
 */
const CARRIED = Symbol('nest-sessions');

/** What a request carries. */
export interface Carried extends Outgoing {
  out: SaveBeforeSend | undefined;
  /** Whether the net is reached through the prototype of the responses, and not through methods of this one. */
  netIsShared?: boolean;
}

type CarryingRequest = IncomingMessage & { [CARRIED]?: Carried };

export function exchangeOf(request: IncomingMessage, _response?: ServerResponse): Carried | undefined {
  return (request as CarryingRequest)[CARRIED];
}

/**
 * Puts a net on a response, so that the session is saved and its headers are added however it is sent.
 *
 * Express changes the prototype of every response to `app.response`. V8 then gives each its own hidden class
 * with every property that is added, and forgets what it knew of it: four methods cost 10 µs, and each method that
 * is looked up costs one. So the methods are on that prototype instead, which Express has for the purpose, and
 * those of the platform are looked up there once. Elsewhere they go on the response.
 */
export function attach(request: IncomingMessage, response: ServerResponse, carried: Carried): void {
  const shared = prepared.get(Object.getPrototypeOf(response));
  const natives = shared ?? nativesOf(response);
  carried.out = new SaveBeforeSend(response, carried, natives);
  if (shared) {
    carried.netIsShared = true;
  } else {
    response.writeHead = hooks.writeHead as ServerResponse['writeHead'];
    response.write = hooks.write as ServerResponse['write'];
    response.end = hooks.end as ServerResponse['end'];
    response.flushHeaders = hooks.flushHeaders as ServerResponse['flushHeaders'];
  }
  (request as CarryingRequest)[CARRIED] = carried;
  natives.on.call(response, 'close', onClose);
}

function nativesOf({
  writeHead,
  write,
  end,
  flushHeaders,
  getHeader,
  setHeader,
  on,
}: ServerResponse): Natives {
  return { writeHead, write, end, flushHeaders, getHeader, setHeader, on };
}

/** What stood on a prepared prototype before. */
const prepared = new WeakMap<object, Natives>();

/** Puts the methods on the prototype of an Express application's responses; of others, nothing is to be done. */
export function prepareResponses(application: unknown): void {
  const prototype = (application as { response?: object } | undefined)?.response;
  if (typeof prototype !== 'object' || prototype === null || prepared.has(prototype)) return;
  const natives = nativesOf(prototype as ServerResponse);
  if (!Object.values(natives).every((method) => typeof method === 'function')) return;
  prepared.set(prototype, natives);
  for (const method of ['writeHead', 'write', 'end', 'flushHeaders'] as const) {
    const value = function (this: ServerResponse, ...args: unknown[]): unknown {
      const carried = (this.req as CarryingRequest)[CARRIED];
      return carried?.netIsShared ? carried.out!.pass(method, args) : natives[method].apply(this, args);
    };
    Object.defineProperty(prototype, method, { value, writable: true, configurable: true });
  }
}

/** Functions that all responses share, so that a request makes no closures. */
const hooks = {
  writeHead(this: ServerResponse, ...args: unknown[]): unknown {
    return netOf(this)!.pass('writeHead', args);
  },
  write(this: ServerResponse, ...args: unknown[]): unknown {
    return netOf(this)!.pass('write', args);
  },
  end(this: ServerResponse, ...args: unknown[]): unknown {
    return netOf(this)!.pass('end', args);
  },
  flushHeaders(this: ServerResponse): unknown {
    return netOf(this)!.pass('flushHeaders', []);
  },
};

function netOf(response: ServerResponse): SaveBeforeSend | undefined {
  return (response.req as CarryingRequest)[CARRIED]?.out;
}

function onClose(this: ServerResponse): void {
  netOf(this)!.closed();
}
