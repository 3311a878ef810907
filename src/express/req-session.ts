import { inspect } from 'node:util';
import { SessionError } from '../errors.js';
import type { Exchange } from '../http/exchange.js';
import { renew } from '../session/rotate.js';
import { save } from '../session/save.js';
import { refuseSent } from '../session/write.js';
import { stateOf } from '../session/session.js';
import type { SessionValues } from '../session/values.js';
import { answer, type Callback } from './callback.js';
import { ReqCookie } from './req-cookie.js';
import type { UserOfData } from './user-of-data.js';

/** What an object that stands for the session of a request belongs to. */
export interface Owner {
  readonly exchange: Exchange;
  readonly user: UserOfData | undefined;
  /** Where libraries look for the session. */
  readonly request: { session?: ReqSession };
  /** The class of the objects that are put there. */
  readonly make: (owner: Owner) => ReqSession;
}

/** What lies behind one object. */
interface Behind {
  readonly owner: Owner;
  /** The object itself. */
  object: ReqSession | undefined;
  /** The values it shows once another object has taken its place. */
  left: SessionValues | undefined;
  cookie: ReqCookie | undefined;
}

const BEHIND = Symbol('behind');

/**
 * The session of a request as libraries made for express-session expect it: its data are its own enumerable
 * properties. It is a view: what is read and changed, in place too, is that of `@Session()`, and all that holds of one
 * holds of the other. Data whose keys are the names of its members do not show here, and stay.
 *
 * The methods take a callback, or return a promise. They are about the session that the request has now, also on an
 * object that {@link regenerate} or {@link reload} has replaced.
 */
export class ReqSession {
  declare [BEHIND]: Behind;
  [key: string]: any;

  /** Objects come from `useReqSession`, never from here. */
  constructor(owner: Owner) {
    const behind: Behind = { owner, object: undefined, left: undefined, cookie: undefined };
    this[BEHIND] = behind;
    return (behind.object = new Proxy(this, traps));
  }

  /** The secret that the client holds: never log it. A new visitor's changes with each request until it is stored. */
  get id(): string {
    return this[BEHIND].owner.exchange.session!.id;
  }

  get req(): object {
    return this[BEHIND].owner.request;
  }

  get cookie(): ReqCookie {
    const behind = this[BEHIND];
    return (behind.cookie ??= new ReqCookie(behind.owner.exchange));
  }

  /** Saves now, rather than when the response goes out. */
  save(callback?: Callback): this | Promise<void> {
    return answer(this, callback, saved(this[BEHIND].owner)) as this | Promise<void>;
  }

  /** Puts a new object without data on the request: the session has a new id, and neither data nor user. */
  regenerate(callback?: Callback): this | Promise<void> {
    return answer(this, callback, renewed(this[BEHIND].owner)) as this | Promise<void>;
  }

  /** Ends the session; the request has none any more. */
  destroy(callback?: Callback): this | Promise<void> {
    const { owner } = this[BEHIND];
    leave(owner);
    delete owner.request.session;
    const { exchange } = owner;
    return answer(this, callback, exchange.module.sessions.end(stateOf(exchange.session!))) as
      this | Promise<void>;
  }

  /** Puts a new object on the request with what is stored now; what was not saved is dropped. */
  reload(callback?: Callback): this | Promise<void> {
    return answer(this, callback, reloaded(this[BEHIND].owner)) as this | Promise<void>;
  }

  /** This request is a use of the session, whatever its route says, and moves the deadline also before `touchAfter`. */
  touch(): this {
    const { exchange } = this[BEHIND].owner;
    exchange.count(true);
    exchange.touchesNow = true;
    return this;
  }

  /** Same as {@link touch}: the deadline moves with each use. */
  resetMaxAge(): this {
    return this.touch();
  }

  /** Shows the data; no id (S50). */
  [inspect.custom](_depth: number, options: object): string {
    return `Session ${inspect({ ...valuesOf(this).toJSON() }, options)}`;
  }
}

/** What @fastify/passport and @fastify/flash use besides, which know the session of @fastify/session. */
export class FastifyReqSession extends ReqSession {
  get sessionId(): string {
    return this.id;
  }

  get(key: string): unknown {
    return (this as Record<string, unknown>)[key];
  }

  /** `undefined` removes it. */
  set(key: string, value: unknown): void {
    (this as Record<string, unknown>)[key] = value;
  }

  delete(): void {
    void this.destroy();
  }

  /** A plain copy of the data. */
  data(): Record<string, unknown> {
    return { ...this };
  }

  /** @param keys of the data that are kept */
  override regenerate(keys?: readonly string[] | Callback, callback?: Callback): this | Promise<void> {
    const done = typeof keys === 'function' ? keys : callback;
    const kept = Array.isArray(keys) ? keys.map((key: string) => [key, this.get(key)] as const) : [];
    const { owner } = this[BEHIND];
    const work = renewed(owner).then(() => {
      for (const [key, value] of kept) if (value !== undefined) owner.request.session!['set'](key, value);
    });
    return answer(this, done, work) as this | Promise<void>;
  }
}

async function saved({ exchange }: Owner): Promise<void> {
  // True: a user was bound or unbound, and all was saved with it.
  if ((await exchange.beforeSave?.()) === true) return;
  await save(stateOf(exchange.session!));
}

async function renewed(owner: Owner): Promise<void> {
  const { sessions } = owner.exchange.module;
  const state = stateOf(owner.exchange.session!);
  const { values } = state;
  refuseSent(state, 'regenerate() must be called');
  // An absolute timeout counts from the start, so that what follows needs a start of its own.
  await (sessions.settings.absoluteTtl === Infinity ? renew(state) : sessions.end(state));
  replace(owner, values);
}

async function reloaded(owner: Owner): Promise<void> {
  const { exchange } = owner;
  const state = stateOf(exchange.session!);
  const { values } = state;
  if (!(await exchange.module.sessions.reload(state))) throw new SessionError('failed to load session');
  replace(owner, values);
}

/** Another object takes the place of the one on the request, which goes on showing the values that it had. */
function replace(owner: Owner, values: SessionValues): void {
  leave(owner, values);
  owner.user?.lookAgain();
  owner.request.session = owner.make(owner);
}

function leave({ request, exchange }: Owner, values = stateOf(exchange.session!).values): void {
  const behind = request.session?.[BEHIND];
  if (behind) behind.left ??= values;
}

function valuesOf(target: ReqSession): SessionValues {
  const { left, owner } = target[BEHIND];
  return left ?? stateOf(owner.exchange.session!).values;
}

/** Members, and what every object has: none of these are keys of the data here. */
const isMember = (target: ReqSession, key: string | symbol): boolean =>
  typeof key === 'symbol' || key in target;

const read = (target: ReqSession, key: string): unknown => valuesOf(target).getKey(key);

const traps: ProxyHandler<ReqSession> = {
  get: (target, key, receiver) =>
    isMember(target, key) ? Reflect.get(target, key, receiver) : read(target, key as string),

  has: (target, key) => (isMember(target, key) ? key in target : read(target, key as string) !== undefined),

  ownKeys: (target) =>
    valuesOf(target)
      .keys()
      .filter((key) => !isMember(target, key)),

  getOwnPropertyDescriptor(target, key) {
    if (isMember(target, key)) return Reflect.getOwnPropertyDescriptor(target, key);
    const value = read(target, key as string);
    return value === undefined ? undefined : { value, writable: true, enumerable: true, configurable: true };
  },

  set(target, key, value, receiver) {
    // An object that inherits from this one gets a property of its own, as ever.
    if (receiver !== target[BEHIND].object)
      return Reflect.set(Object.create(null) as object, key, value, receiver);
    put(target, key, value);
    return true;
  },

  defineProperty(target, key, descriptor) {
    if (isMember(target, key) || !('value' in descriptor))
      return Reflect.defineProperty(target, key, descriptor);
    put(target, key, descriptor.value);
    return true;
  },

  deleteProperty(target, key) {
    if (isMember(target, key)) return Reflect.deleteProperty(target, key);
    valuesOf(target).removeKey(key as string);
    return true;
  },
};

/** What a library puts in the place of a method, or under a symbol, is used on this object, and stored nowhere. */
function put(target: ReqSession, key: string | symbol, value: unknown): void {
  if (!isMember(target, key)) return valuesOf(target).setKey(key as string, value);
  const isMethod = typeof key === 'symbol' || typeof Reflect.get(target, key) === 'function';
  if (isMethod) Object.defineProperty(target, key, { value, writable: true, configurable: true });
}
