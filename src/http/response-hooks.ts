import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Outgoing, ResponseNet } from './response-net.js';

/**
 * Where a request remembers what belongs to it, and where its response finds its net. One property, and not
 * two, nor a WeakMap: on Express every property that is added costs microseconds, see {@link hangNet}, and
 * so does the garbage collection of a WeakMap whose keys live as long as requests do.
 */
const CARRIED = Symbol('nest-sessions');

/** What a request carries. */
export interface Carried extends Outgoing {
  net: ResponseNet | undefined;
}

type CarryingRequest = IncomingMessage & { [CARRIED]?: Carried };

export function carriedBy(request: IncomingMessage): Carried | undefined {
  return (request as CarryingRequest)[CARRIED];
}

/**
 * Puts a net on a response, so that the session is saved and its headers are added however it is sent.
 *
 * Express changes the prototype of every response to `app.response`. V8 then gives each its own hidden class
 * with every property that is added, and forgets what it knew of it: four methods cost 10 µs. So the methods
 * go on that prototype instead, once, which Express has for the purpose. Elsewhere they go on the response.
 */
export function hangNet(request: IncomingMessage, response: ServerResponse, carried: Carried): void {
  const shared = sharedPrototype(response);
  if (shared) {
    if (!hooked.has(shared)) hookPrototype(shared);
    carried.net = new ResponseNet(response, carried, Object.getPrototypeOf(shared) as ServerResponse);
  } else {
    const { writeHead, write, end, flushHeaders } = response;
    carried.net = new ResponseNet(response, carried, { writeHead, write, end, flushHeaders });
    response.writeHead = hooks.writeHead as ServerResponse['writeHead'];
    response.write = hooks.write as ServerResponse['write'];
    response.end = hooks.end as ServerResponse['end'];
    response.flushHeaders = hooks.flushHeaders as ServerResponse['flushHeaders'];
  }
  (request as CarryingRequest)[CARRIED] = carried;
  response.on('close', onClose);
}

const hooked = new WeakSet<object>();

/** The prototype that all responses of an application share, apart from their class's own: `app.response`. */
function sharedPrototype(response: ServerResponse): object | undefined {
  const own: unknown = response.constructor.prototype;
  let shared: object | undefined;
  // The outermost one: an application that is mounted in another has the other's response as its prototype.
  for (let at: object = Object.getPrototypeOf(response); at !== own && at; at = Object.getPrototypeOf(at)) {
    shared = at;
  }
  return shared;
}

function hookPrototype(prototype: object): void {
  hooked.add(prototype);
  const natives = Object.getPrototypeOf(prototype) as Record<string, (...args: unknown[]) => unknown>;
  for (const method of ['writeHead', 'write', 'end', 'flushHeaders'] as const) {
    const value = function (this: ServerResponse, ...args: unknown[]): unknown {
      const net = netOf(this);
      return net ? net.pass(method, args) : natives[method]!.apply(this, args);
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

function netOf(response: ServerResponse): ResponseNet | undefined {
  return (response.req as CarryingRequest)[CARRIED]?.net;
}

function onClose(this: ServerResponse): void {
  netOf(this)!.closed();
}
