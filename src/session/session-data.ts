import type { Jsonify } from 'type-fest';
import type { CheckedPath, ValueAt } from './path-types.js';

/**
 * The application's own session data, declared once:
 *
 * @example
 * declare module 'nest-sessions' {
 *   interface SessionData {
 *     visits: number;
 *     basket: { items: { sku: string; qty: number }[] };
 *   }
 * }
 */
// oxlint-disable-next-line typescript/no-empty-interface -- filled in by the application
export interface SessionData {}

/**
 * What types have to know of the module's options, declared beside {@link SessionData} where it is needed:
 * `initial` is what the option of that name returns, so that its keys are always there; `codec: 'exact'` says that
 * the codec gives values back as they were, which JSON does not with a `Date`, a `Map` or a `Set`; `client` is what the
 * option `describeClient` returns.
 *
 * @example
 * declare module 'nest-sessions' {
 *   interface SessionTypes {
 *     initial: ReturnType<typeof initialData>;
 *     codec: 'exact';
 *     client: ReturnType<typeof describeClient>;
 *   }
 * }
 */
// oxlint-disable-next-line typescript/no-empty-interface -- filled in by the application
export interface SessionTypes {}

/** {@link SessionData} once it is declared, any keys before. */
export type DefaultSessionData = keyof SessionData extends never ? Record<string, any> : SessionData;

/** What the option `initial` returns: any of the keys of {@link SessionData}, and those that were promised. */
export type InitialSessionData = Partial<DefaultSessionData> & Promised;

/** The key that a path starts from, whose value `T` knows. */
export type SessionKey<T> = AnyKeys<T> extends true ? string : keyof T & string;

/**
 * `P`, if it is a key of `T` or a dot path into it, `'basket.items[0].qty'`; else the keys that could stand there, which
 * is what the compiler's error then names. Any string where the keys are not known.
 */
export type SessionPath<T, P extends string = string> =
  AnyKeys<T> extends true ? string : (keyof T & string) | CheckedPath<T, P>;

/** The type of what a path leads to, as it is written. */
export type SessionValue<T, P extends string> =
  AnyKeys<T> extends true ? (string extends keyof T ? T[keyof T] : any) : ValueAt<T, P>;

/** A value as it is read: after JSON a `Date` is a string, and a `Map` or a `Set` an empty object. */
export type StoredValue<V> = SessionTypes extends { codec: 'exact' } ? V : Jsonified<V>;

/**
 * The data of a session as it is read. A key may be absent, unless `initial` gives it (see {@link SessionTypes}).
 */
export type StoredData<T> =
  AnyKeys<T> extends true
    ? string extends keyof T
      ? T
      : Record<string, any>
    : [keyof Promised] extends [never]
      ? { [K in keyof T]?: StoredValue<T[K]> }
      : { [K in keyof T as K extends keyof Promised ? never : K]?: StoredValue<T[K]> } & {
          [K in keyof T as K extends keyof Promised ? K : never]-?: StoredValue<T[K]>;
        };

/** What `describeClient` said, as a list shows it. */
export type ClientInfo = SessionTypes extends { client: infer C }
  ? Jsonified<NonNullable<C>>
  : Record<string, any>;

/** What `initial` always gives. */
type Promised = SessionTypes extends { initial: infer I } ? I : {};

/** Nothing is known of the keys: of `Record<string, …>`, and of `object`, which `app.get(SessionStore)` infers. */
type AnyKeys<T> = string extends keyof T ? true : [keyof T] extends [never] ? true : false;

/** Keeps the name of a type that JSON does not change, for errors and editors. */
type Jsonified<V> = [Jsonify<V>] extends [never] ? never : Jsonify<V> extends V ? V : Jsonify<V>;
