import { inspect } from 'node:util';
import { serialize } from 'cookie';
import type { OwnAttributes } from '../http/cookie.js';
import { checkCookie, type ResolvedCookie } from '../http/cookie-options.js';
import type { Exchange } from '../http/exchange.js';
import { isSecure } from '../http/request.js';
import { show } from '../rules.js';
import { deadline } from '../session/deadlines.js';
import { touchIsDue } from '../session/save.js';
import { stateOf } from '../session/session.js';
import type { SessionValues } from '../session/values.js';

/**
 * The cookie of a session as libraries made for express-session expect it; times are milliseconds. What is set holds for
 * this session as long as it lives: it is kept with the session, and no part of its data.
 */
export class ReqCookie {
  readonly #exchange: Exchange;
  /** What was set on a visitor's session: that alone is no reason to store it. */
  #waiting: { readonly own: OwnAttributes; readonly of: SessionValues } | undefined;

  /** Cookies come from `request.session.cookie`, never from here. */
  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** Milliseconds until the session ends unless it is used before; null where the cookie ends with the browser. */
  get maxAge(): number | null {
    const { expires } = this;
    return expires && expires.getTime() - Date.now();
  }

  /** Gives the session an idle timeout of its own, as `session.expireIn()` does; null: the cookie ends with the browser. */
  set maxAge(maxAge: number | Date | null | undefined | false) {
    if (maxAge === null || maxAge === undefined || maxAge === false) {
      this.#set({ persistent: false });
      return;
    }
    const given = maxAge instanceof Date ? maxAge.getTime() - Date.now() : maxAge;
    if (typeof given !== 'number' || Number.isNaN(given)) {
      throw new TypeError(
        `req.session.cookie.maxAge must be a number or Date: milliseconds, or null for a cookie that ends with the browser; got ${show(maxAge)}.`,
      );
    }
    const session = this.#exchange.session!;
    // What is over already ends at once.
    const timeout = Math.max(given, 1);
    // Some set it with each request: a timeout that is in force already is used, and not written anew.
    if (timeout === session.ttl * 1_000) this.#exchange.count(true);
    else session.expireIn(timeout / 1_000);
    this.#set({ persistent: true });
  }

  /** The idle timeout of the session; null where the cookie ends with the browser. */
  get originalMaxAge(): number | null {
    return this.#all.persistent ? this.#exchange.session!.ttl * 1_000 : null;
  }

  set originalMaxAge(maxAge: number | Date | null | undefined | false) {
    this.maxAge = maxAge;
  }

  /** When the session ends unless it is used before; null where the cookie ends with the browser. */
  get expires(): Date | null {
    if (!this.#all.persistent) return null;
    const { session, counts, touchesNow, module } = this.#exchange;
    const state = stateOf(session!);
    // The use that is written when the answer goes out.
    if (!state.isOwner || !counts || (!touchesNow && !touchIsDue(state)) || state.ttl !== undefined)
      return session!.expiresAt;
    return new Date(deadline(Date.now(), state.record!, module.sessions.settings));
  }

  set expires(at: Date | null | false | undefined) {
    this.maxAge = at ? new Date(at) : null;
  }

  get path(): string {
    return this.#all.path;
  }

  set path(path: string) {
    this.#set({ path });
  }

  get domain(): string | undefined {
    return this.#all.domain;
  }

  set domain(domain: string | undefined) {
    this.#set({ domain });
  }

  get secure(): boolean {
    const { secure } = this.#all;
    return secure === 'auto' ? isSecure(this.#exchange.request) : secure;
  }

  set secure(secure: boolean | 'auto') {
    this.#set({ secure });
  }

  get httpOnly(): boolean {
    return this.#all.httpOnly;
  }

  set httpOnly(httpOnly: boolean) {
    this.#set({ httpOnly });
  }

  get sameSite(): ResolvedCookie['sameSite'] {
    return this.#all.sameSite;
  }

  /** `true` is `'strict'`. */
  set sameSite(sameSite: ResolvedCookie['sameSite'] | true) {
    this.#set({ sameSite: sameSite === true ? 'strict' : sameSite });
  }

  get partitioned(): boolean {
    return this.#all.partitioned;
  }

  set partitioned(partitioned: boolean) {
    this.#set({ partitioned });
  }

  get priority(): ResolvedCookie['priority'] {
    return this.#all.priority;
  }

  set priority(priority: ResolvedCookie['priority']) {
    this.#set({ priority });
  }

  /** All of it as a plain object. */
  get data(): Record<string, unknown> {
    const { originalMaxAge, partitioned, priority, expires, secure, httpOnly, domain, path, sameSite } = this;
    return { originalMaxAge, partitioned, priority, expires, secure, httpOnly, domain, path, sameSite };
  }

  toJSON(): Record<string, unknown> {
    return this.data;
  }

  [inspect.custom](): Record<string, unknown> {
    return this.data;
  }

  /** A `Set-Cookie` text with these attributes for a name and a value. */
  serialize(name: string, value: string): string {
    const { originalMaxAge: _, expires, ...others } = this.data;
    return serialize(name, value, { ...others, ...(expires ? { expires: expires as Date } : {}) });
  }

  /** Puts what was set beside the data of the session, if that is stored or is to be. */
  keep(): void {
    const waiting = this.#waitingNow;
    const { record, values } = stateOf(this.#exchange.session!);
    if (!waiting || (!record && !values.collect(false))) return;
    values.cookie = Object.keys(waiting).length > 0 ? waiting : undefined;
    this.#waiting = undefined;
  }

  /** @throws {SessionOptionsError} for an attribute that browsers would not take */
  #set(attribute: OwnAttributes): void {
    const exchange = this.#exchange;
    const common = this.#common;
    const own = { ...this.#own, ...attribute };
    const before = this.#all;
    if (
      Object.entries({ ...common, ...own }).every(
        ([name, value]) => before[name as keyof OwnAttributes] === value,
      )
    )
      return;
    checkCookie({ ...common, ...own }, exchange.module.settings.cookieName, 'req.session.cookie');
    for (const name of Object.keys(own) as (keyof OwnAttributes)[]) {
      if (own[name] === common[name]) delete own[name];
    }
    if (!this.#waiting) {
      const { beforeSave } = exchange;
      exchange.beforeSave = () => {
        this.keep();
        return beforeSave?.();
      };
    }
    exchange.retells = true;
    this.#waiting = { own, of: stateOf(exchange.session!).values };
  }

  get #own(): OwnAttributes | undefined {
    return this.#waitingNow ?? stateOf(this.#exchange.session!).values.cookie;
  }

  /** A session that has begun anew since has its own. */
  get #waitingNow(): OwnAttributes | undefined {
    const { values } = stateOf(this.#exchange.session!);
    return this.#waiting?.of === values ? this.#waiting.own : undefined;
  }

  /** As the application has them for all sessions. */
  get #common(): ResolvedCookie {
    const { module, request } = this.#exchange;
    const { cookie } = module.settings;
    return typeof cookie === 'function' ? cookie(request) : cookie;
  }

  get #all(): ResolvedCookie {
    return { ...this.#common, ...this.#own };
  }
}
