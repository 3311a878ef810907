import type { Get, Paths } from 'type-fest';

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

/** {@link SessionData} once it is declared, any keys before. */
export type DefaultSessionData = keyof SessionData extends never ? Record<string, any> : SessionData;

/** A key of `T`, or a dot path into it: `'basket.items[0].qty'`. Any string where the keys are not known. */
export type SessionPath<T> =
  AnyKeys<T> extends true
    ? string
    : (keyof T & string) | Extract<Paths<T, { bracketNotation: true; maxRecursionDepth: 6 }>, string>;

/** The type of what a path leads to. */
export type SessionValue<T, P extends string> = string extends keyof T
  ? T[keyof T]
  : [keyof T] extends [never]
    ? any
    : P extends keyof T
      ? T[P]
      : T extends object
        ? Get<T, P>
        : never;

/** The key that a path starts from, whose value `T` knows. */
export type SessionKey<T> = AnyKeys<T> extends true ? string : keyof T & string;

/** Nothing is known of the keys: of `Record<string, …>`, and of `object`, which `app.get(SessionStore)` infers. */
type AnyKeys<T> = string extends keyof T ? true : [keyof T] extends [never] ? true : false;
