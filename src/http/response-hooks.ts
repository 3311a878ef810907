import type { ServerResponse } from 'node:http';
import { type Outgoing, ResponseNet } from './response-net.js';

/** Nets by response. Not a property: a new one costs microseconds on a response of Express, see {@link hangNet}. */
const nets = new WeakMap<ServerResponse, ResponseNet>();
const hooked = new WeakSet<object>();

/**
 * Puts a net on a response, so that the session is saved and its headers are added however it is sent.
 *
 * Express changes the prototype of every response to `app.response`. V8 then gives each its own hidden class
 * with every property that is added, and forgets what it knew of it: four methods cost 10 µs. So the methods
 * go on that prototype instead, once, which Express has for the purpose. Elsewhere they go on the response.
 */
export function hangNet(response: ServerResponse, outgoing: Outgoing): ResponseNet {
  const shared = sharedPrototype(response);
  let net: ResponseNet;
  if (shared) {
    if (!hooked.has(shared)) hookPrototype(shared);
    net = new ResponseNet(response, outgoing, Object.getPrototypeOf(shared) as ServerResponse);
  } else {
    const { writeHead, write, end, flushHeaders } = response;
    net = new ResponseNet(response, outgoing, { writeHead, write, end, flushHeaders });
    response.writeHead = hooks.writeHead as ServerResponse['writeHead'];
    response.write = hooks.write as ServerResponse['write'];
    response.end = hooks.end as ServerResponse['end'];
    response.flushHeaders = hooks.flushHeaders as ServerResponse['flushHeaders'];
  }
  nets.set(response, net);
  response.on('close', onClose);
  return net;
}

/** The prototype that all responses of an application share, apart from their class's own: `app.response`. */
function sharedPrototype(response: ServerResponse): object | undefined {
  const own: unknown = response.constructor.prototype;
  let shared: object | undefined;
  // The outermost one: an application that is mounted in another has the other's response as its prototype.
  for (let at: object = Object.getPrototypeOf(response); at !== own && at; at = Object.getPrototypeOf(at))
    shared = at;
  return shared;
}

function hookPrototype(prototype: object): void {
  hooked.add(prototype);
  const natives = Object.getPrototypeOf(prototype) as Record<string, (...args: unknown[]) => unknown>;
  for (const method of ['writeHead', 'write', 'end', 'flushHeaders'] as const) {
    const value = function (this: ServerResponse, ...args: unknown[]): unknown {
      const net = nets.get(this);
      return net ? net.pass(method, args) : natives[method]!.apply(this, args);
    };
    Object.defineProperty(prototype, method, { value, writable: true, configurable: true });
  }
}

/** Functions that all responses share, so that a request makes no closures. */
const hooks = {
  writeHead(this: ServerResponse, ...args: unknown[]): unknown {
    return nets.get(this)!.pass('writeHead', args);
  },
  write(this: ServerResponse, ...args: unknown[]): unknown {
    return nets.get(this)!.pass('write', args);
  },
  end(this: ServerResponse, ...args: unknown[]): unknown {
    return nets.get(this)!.pass('end', args);
  },
  flushHeaders(this: ServerResponse): unknown {
    return nets.get(this)!.pass('flushHeaders', []);
  },
};

function onClose(this: ServerResponse): void {
  nets.get(this)!.closed();
}
