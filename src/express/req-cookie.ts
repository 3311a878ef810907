import { serialize } from 'cookie';
import type { Exchange } from '../http/exchange.js';
import type { ResolvedCookie } from '../http/cookie-options.js';
import { isSecure } from '../http/request.js';

/**
 * The cookie of a session as libraries made for express-session expect it. Times are milliseconds.
 */
export class ReqCookie {
  readonly #exchange: Exchange;

  /** Cookies come from `request.session.cookie`, never from here. */
  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** The idle timeout of the session; null where the cookie ends with the browser. */
  get originalMaxAge(): number | null {
    return this.#attributes.persistent ? this.#exchange.session!.ttl * 1_000 : null;
  }

  /** Milliseconds until the session ends unless it is used before; null where the cookie ends with the browser. */
  get maxAge(): number | null {
    const { expires } = this;
    return expires && expires.getTime() - Date.now();
  }

  /** Gives the session this idle timeout of its own, as `session.expireIn()` does. */
  set maxAge(maxAge: number) {
    this.#exchange.session!.expireIn(maxAge / 1_000);
  }

  /** When the session ends unless it is used before; null where the cookie ends with the browser. */
  get expires(): Date | null {
    return this.#attributes.persistent ? this.#exchange.session!.expiresAt : null;
  }

  set expires(at: Date) {
    this.maxAge = at.getTime() - Date.now();
  }

  get path(): string {
    return this.#attributes.path;
  }

  get domain(): string | undefined {
    return this.#attributes.domain;
  }

  get secure(): boolean {
    return this.#attributes.secure;
  }

  get httpOnly(): boolean {
    return this.#attributes.httpOnly;
  }

  get sameSite(): ResolvedCookie['sameSite'] {
    return this.#attributes.sameSite;
  }

  get partitioned(): boolean {
    return this.#attributes.partitioned;
  }

  get priority(): ResolvedCookie['priority'] {
    return this.#attributes.priority;
  }

  /** All of it as a plain object. */
  get data(): object {
    const { originalMaxAge, partitioned, priority, expires, secure, httpOnly, domain, path, sameSite } = this;
    return { originalMaxAge, partitioned, priority, expires, secure, httpOnly, domain, path, sameSite };
  }

  toJSON(): object {
    return this.data;
  }

  /** A `Set-Cookie` text with these attributes for a name and a value. */
  serialize(name: string, value: string): string {
    const { expires, ...others } = this.data as { expires: Date | null };
    return serialize(name, value, { ...others, ...(expires && { expires }) });
  }

  get #attributes(): ResolvedCookie & { readonly secure: boolean } {
    const { module, request } = this.#exchange;
    const { cookie } = module.settings;
    const its = typeof cookie === 'function' ? cookie(request) : cookie;
    return { ...its, secure: its.secure === 'auto' ? isSecure(request) : its.secure };
  }
}
