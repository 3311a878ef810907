import { inspect } from 'node:util';
import { SessionError } from '../errors.js';
import type { SessionValues } from './values.js';

/** Whose values an object shows: those of now, so that an object taken before a logout shows what comes after it. */
interface Holder {
  readonly values: SessionValues;
}

/** What lies behind the object: `inspect` looks there, and `structuredClone`, which takes no proxy, names it. */
class SessionDataObject {
  object: Record<string, unknown> | undefined;
  /** Called on the object or on what lies behind it, as `inspect` is told to show. */
  readonly [inspect.custom] = () => ({ ...this.object });

  constructor(private readonly holder: Holder) {}

  get values(): SessionValues {
    return this.holder.values;
  }
}

/**
 * The data of a session as a live object without a prototype. What is read is decoded then; what is changed, in
 * nested values too, is saved. Names such as `constructor` are keys like any.
 */
export function dataObject(holder: Holder): Record<string, unknown> {
  const target = new SessionDataObject(holder);
  target.object = new Proxy<any>(target, traps) as Record<string, unknown>;
  return target.object;
}

const traps: ProxyHandler<SessionDataObject> = {
  get: ({ values }, key) => read(values, key),

  has: ({ values }, key) => read(values, key) !== undefined,

  ownKeys: ({ values }) => values.keys(),

  getOwnPropertyDescriptor({ values }, key) {
    const value = read(values, key);
    return value === undefined ? undefined : { value, writable: true, enumerable: true, configurable: true };
  },

  set(target, key, value, receiver) {
    // An object that inherits from this one gets a property of its own, as ever.
    if (receiver !== target.object) return Reflect.set(Object.create(null) as object, key, value, receiver);
    target.values.setKey(checkName(key), value);
    return true;
  },

  defineProperty({ values }, key, descriptor) {
    const { get, set, writable, enumerable, configurable } = descriptor;
    if (get || set || [writable, enumerable, configurable].includes(false)) {
      throw new SessionError(
        `session.data: ${inspect(key)} can only be a plain value; assign it, session.data.key = value.`,
      );
    }
    if ('value' in descriptor) values.setKey(checkName(key), descriptor.value);
    return true;
  },

  deleteProperty({ values }, key) {
    if (typeof key === 'string') values.removeKey(key);
    return true;
  },

  getPrototypeOf: () => null,

  setPrototypeOf(_target, prototype) {
    if (prototype === null) return true;
    throw new SessionError('session.data has no prototype, and takes none.');
  },

  preventExtensions() {
    throw new SessionError('session.data is live and cannot be frozen; freeze a copy, session.toJSON().');
  },
};

const read = (values: SessionValues, key: string | symbol): unknown =>
  typeof key === 'string' ? values.getKey(key) : undefined;

function checkName(key: string | symbol): string {
  if (typeof key === 'string') return key;
  throw new SessionError(`session.data: a key is a string; got ${String(key)}.`);
}
