import { EventEmitter } from 'node:events';

/** The attributes of a cookie as the stores of express-session read them: all that they take a lifetime from. */
export class Cookie {
  path = '/';
  httpOnly = true;
  expires: Date | null = null;
  originalMaxAge: number | null = null;

  constructor(attributes: object = {}) {
    Object.assign(this, attributes);
  }

  /** Milliseconds that are left; null: it ends with the browser. */
  get maxAge(): number | null {
    return this.expires ? this.expires.valueOf() - Date.now() : null;
  }

  set maxAge(left: number | null) {
    this.expires = left === null ? null : new Date(Date.now() + left);
    this.originalMaxAge = left;
  }

  get data(): object {
    return { ...this };
  }

  toJSON(): object {
    return { ...this };
  }
}

/** The class that stores extend. A function, as older ones call it without `new`. */
function Store(this: EventEmitter): void {
  EventEmitter.call(this);
}
Object.setPrototypeOf(Store.prototype, EventEmitter.prototype);

/**
 * What a store's factory wants for `session` where express-session is not installed.
 *
 * It may be given to every factory: they ask for the type of express-session, which this package does not have.
 *
 * @example
 * const PgStore = connectPgSimple(connectShim);
 * new ConnectStorage(new PgStore({ pool }))
 */
export const connectShim: any = Object.freeze({ Store, Cookie });
