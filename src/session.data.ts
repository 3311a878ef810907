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
export type SessionPath<T> = string extends keyof T
  ? string
  : (keyof T & string) | Extract<Paths<T, { bracketNotation: true; maxRecursionDepth: 6 }>, string>;

/** The type of what a path leads to. */
export type SessionValue<T, P extends string> = string extends keyof T
  ? T[keyof T]
  : P extends keyof T
    ? T[P]
    : T extends object
      ? Get<T, P>
      : never;

/** The key that a path starts from, whose value `T` knows. */
export type SessionKey<T> = string extends keyof T ? string : keyof T & string;
