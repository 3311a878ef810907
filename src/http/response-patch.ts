import type { IncomingMessage, ServerResponse } from 'node:http';
import { SessionError } from '../errors.js';
import type { Method, Next } from './held-calls.js';
import { unwrapped } from './request.js';
import { type Natives, type Outgoing, SaveBeforeSend } from './save-before-send.js';

/**
 * Where a request finds what belongs to it, and so does its response: a property of the state that a request has as a
 * stream, which nobody replaces, and which copies of it share. On Express a property of the request itself costs
 * microseconds, see {@link attachExchange}, and so does the garbage collection of a WeakMap whose keys live as long as
 * requests do.
 */
const LINK = Symbol('nest-sessions');

type Linked = { [LINK]?: SaveBeforeSend | undefined };

/** A mock may be no stream. */
const linked = (request: IncomingMessage): Linked =>
  (request as { _readableState?: Linked })._readableState ?? (request as Linked);

/** The exchange that a request belongs to. */
export function exchangeOf(request: IncomingMessage): Outgoing | undefined {
  return linked(request)[LINK]?.exchange;
}

function linkOf(response: ServerResponse): SaveBeforeSend | undefined {
  const { req } = response;
  const last = req && linked(req)[LINK];
  return last && last.response !== response ? linkAmong(last, response) : last;
}

/**
 * That of a response which is wrapped, or one of several: middleware may copy a request for a route of its own, with a
 * response of its own. Each has a link, so that none sends what was said to another, and all save the one session.
 */
function linkAmong(last: SaveBeforeSend, response: ServerResponse): SaveBeforeSend {
  const raw = unwrapped(response);
  let link: SaveBeforeSend | undefined = last;
  while (link && link.response !== raw) link = link.earlier;
  return link ?? attachExchange(raw, last.exchange);
}

/**
 * Stands an exchange before its response, so that the session is saved and its headers are added however it is sent.
 *
 * Express changes the prototype of every response to `app.response`. V8 then gives each its own hidden class
 * with every property that is added, and forgets what it knew of it: four methods cost 10 µs, and each method that
 * is looked up costs one. So the methods are on that prototype instead, which Express has for the purpose, and
 * those of the platform are looked up there once. Elsewhere they go on the response.
 *
 * @param response Node's own
 * @throws {SessionError} if the response does not lead to its request
 */
export function attachExchange(response: ServerResponse, exchange: Outgoing): SaveBeforeSend {
  const { natives, isPrepared } = platformOf(Object.getPrototypeOf(response));
  const request = response.req as IncomingMessage | undefined;
  if (!request) {
    throw new SessionError(
      'SessionStore.of(): the response is none of Node: it does not lead to its request.',
    );
  }
  const shared = linked(request);
  const link = new SaveBeforeSend(response, exchange, natives, shared[LINK]);
  shared[LINK] = link;
  // Node's own request comes from middleware, and more of that may follow. A route of Fastify has another.
  const isEarly = !isPrepared && exchange.request === request;
  if (isEarly || hasOwnMethod(response)) standBeforeOthers(link, isPrepared);
  else if (!isPrepared) {
    response.writeHead = hooks.writeHead as ServerResponse['writeHead'];
    response.write = hooks.write as ServerResponse['write'];
    response.end = hooks.end as ServerResponse['end'];
    response.flushHeaders = hooks.flushHeaders as ServerResponse['flushHeaders'];
  }
  natives.on.call(response, 'close', () => link.closed());
  return link;
}

const METHODS: readonly Method[] = ['writeHead', 'write', 'end', 'flushHeaders'];

/** Functions that all responses share, so that a request makes no closures. */
const hooks: Record<Method, Next> = {
  writeHead(...args) {
    return pass(this, 'writeHead', args);
  },
  write(...args) {
    return pass(this, 'write', args);
  },
  end(...args) {
    return pass(this, 'end', args);
  },
  flushHeaders(...args) {
    return pass(this, 'flushHeaders', args);
  },
};

function pass(response: ServerResponse, method: Method, args: unknown[]): unknown {
  const link = linkOf(response);
  if (link) return link.pass(method, args, link.natives[method]);
  // A route without a session, on Express.
  return platformOf(Object.getPrototypeOf(response)).natives[method].apply(response, args);
}

// What others wrapped around one response: on-headers, and with it compression and morgan; loggers, timers.

function hasOwnMethod(response: ServerResponse): boolean {
  for (const method of METHODS) if (Object.hasOwn(response, method)) return true;
  return false;
}

/** Others come to their turn when the session is saved, so that those that look at the headers find its own there. */
function standBeforeOthers(link: SaveBeforeSend, isPrepared: boolean): void {
  for (const method of METHODS) {
    if (!isPrepared || Object.hasOwn(link.response, method)) standBefore(link, method, link.response[method]);
  }
}

/** Stands before one method, and then before each that is put in its place, as that one calls what it found there. */
function standBefore(link: SaveBeforeSend, method: Method, next: Next): void {
  const value: Next = (...args) => link.pass(method, args, next);
  Object.defineProperty(link.response, method, {
    configurable: true,
    enumerable: true,
    get: () => value,
    set(this: object, other: unknown) {
      put(this, method, other, link);
    },
  });
}

function put(target: object, method: Method, value: unknown, link: SaveBeforeSend | undefined): void {
  if (target === link?.response && typeof value === 'function')
    return standBefore(link, method, value as Next);
  // A response without a session yet, one that wraps the response, or a prototype.
  Object.defineProperty(target, method, { value, writable: true, configurable: true, enumerable: true });
}

// The methods of a platform, by the prototype of its responses.

interface Platform {
  readonly natives: Natives;
  /** Whether ours are reached through the prototype, and need not be put on each response. */
  readonly isPrepared: boolean;
}

const platforms = new WeakMap<object, Platform>();
/** What a prepared prototype had of its own before. */
const prepared = new WeakMap<object, Partial<Natives>>();

/** Puts the methods on the prototype of an Express application's responses; of others, nothing is to be done. */
export function prepareResponses(application: unknown): void {
  const prototype = (application as { response?: object } | undefined)?.response;
  if (typeof prototype !== 'object' || prototype === null || prepared.has(prototype)) return;
  const natives = nativesOf(prototype as ServerResponse);
  if (!Object.values(natives).every((method) => typeof method === 'function')) return;
  const own = Object.entries(natives).filter(([name]) => Object.hasOwn(prototype, name));
  prepared.set(prototype, Object.fromEntries(own) as Partial<Natives>);
  for (const method of METHODS) {
    Object.defineProperty(prototype, method, {
      configurable: true,
      enumerable: false,
      get: () => hooks[method],
      set(this: ServerResponse, value: unknown) {
        put(this, method, value, linkOf(this));
      },
    });
  }
}

function platformOf(prototype: object): Platform {
  const known = platforms.get(prototype);
  if (known) return known;
  const platform = learn(prototype);
  platforms.set(prototype, platform);
  return platform;
}

/** Not before the first response: an application that is mounted in another one inherits from it only then. */
function learn(prototype: object): Platform {
  for (let each: object | null = prototype; each; each = Object.getPrototypeOf(each)) {
    const own = prepared.get(each);
    if (own)
      return { natives: { ...platformOf(Object.getPrototypeOf(each)).natives, ...own }, isPrepared: true };
  }
  return { natives: nativesOf(prototype as ServerResponse), isPrepared: false };
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
