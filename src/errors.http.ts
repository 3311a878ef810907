import { HttpException, HttpStatus } from '@nestjs/common';
import { hasCode, nameOf } from './errors.js';

/**
 * Errors that answer a request by themselves. The client is told the status and nothing else; the message is
 * for the log.
 */
abstract class SessionHttpError extends HttpException {
  static readonly code: string;
  readonly code: string;

  /** @param told what the client is told besides */
  constructor(status: HttpStatus, message: string, options?: ErrorOptions, told?: object) {
    // An object, as GraphQL drivers know the status of no other answer.
    super({ statusCode: status, message: PHRASES[status as keyof typeof PHRASES], ...told }, status, options);
    this.name = new.target.name;
    this.message = message;
    this.code = new.target.code;
  }

  static override [Symbol.hasInstance](this: { readonly code: string }, value: unknown): boolean {
    return hasCode(value, this.code);
  }
}

const PHRASES = {
  [HttpStatus.UNAUTHORIZED]: 'Unauthorized',
  [HttpStatus.FORBIDDEN]: 'Forbidden',
  [HttpStatus.CONFLICT]: 'Conflict',
  [HttpStatus.SERVICE_UNAVAILABLE]: 'Service Unavailable',
} as const;

/**
 * The session was destroyed, has expired, or went to another user meanwhile. It stays dead for this holder:
 * nothing was written (S27, S56). 401: the client has to log in again.
 */
export class SessionGoneError extends SessionHttpError {
  static override readonly code = 'ERR_SESSION_GONE';
  constructor(handle: string | undefined) {
    super(
      HttpStatus.UNAUTHORIZED,
      `${nameOf(handle)} was destroyed, has expired or went to another user; nothing was saved. Start a new session.`,
    );
  }
}

/** A session's lock could not be had in time, was lost, or was asked for again inside itself (S54). 503. */
export class SessionLockError extends SessionHttpError {
  static override readonly code = 'ERR_SESSION_LOCK';
  constructor(message: string, options?: ErrorOptions) {
    super(HttpStatus.SERVICE_UNAVAILABLE, message, options);
  }
}

/**
 * A login came second to another request that rotated the session: logging in would have taken it from the
 * other, so nothing was changed. 409: trying again works.
 */
export class SessionConflictError extends SessionHttpError {
  static override readonly code = 'ERR_SESSION_CONFLICT';
  constructor(handle: string | undefined) {
    super(
      HttpStatus.CONFLICT,
      `${nameOf(handle)} was rotated by another request; this login changed nothing. Try again.`,
    );
  }
}

/**
 * The user has as many live sessions as `maxPerUser` allows, and `whenExceeded` is `'refuse'`: nobody was logged in, and
 * nothing has changed (S66). 409: once one of them has ended, trying again works.
 */
export class SessionLimitError extends SessionHttpError {
  static override readonly code = 'ERR_SESSION_LIMIT';
  constructor(handle: string | undefined, maxPerUser: number) {
    super(
      HttpStatus.CONFLICT,
      `${nameOf(handle)} was not logged in: its user has as many sessions as maxPerUser allows (${maxPerUser}). ` +
        'End one of them first (listByUser, revoke), or have the oldest one ended: whenExceeded.',
    );
  }
}

/**
 * The user's login is longer ago than `@RecentLogin()` lets pass, and the handler did not run (S67). 403; the client is told
 * the code as well, as it has to ask for the password again.
 */
export class SessionNotRecentError extends SessionHttpError {
  static override readonly code = 'ERR_SESSION_NOT_RECENT';
  /** @param within how long ago it may be, for people: `'10m'` */
  constructor(within: string) {
    const { code } = SessionNotRecentError;
    super(HttpStatus.FORBIDDEN, `The login is longer ago than ${within}: log in again.`, undefined, { code });
  }
}

/** The storage failed. 503, which says nothing of the reason (S51); the reason is in `cause`. */
export class SessionStorageError extends SessionHttpError {
  static override readonly code = 'ERR_SESSION_STORAGE';
  constructor(cause: unknown) {
    super(HttpStatus.SERVICE_UNAVAILABLE, 'Service Unavailable', { cause });
  }
}

/**
 * A page of another origin sent the request, and the route does not let those in: no session was opened and
 * no handler ran (S61). 403, which says nothing of the reason; the message does.
 */
export class SessionCrossOriginError extends SessionHttpError {
  static override readonly code = 'ERR_SESSION_CROSS_ORIGIN';
  /**
   * @param refusal the header that decided, its value as it may be shown, and what would have passed
   * @param remedy what lets such requests in, as the end of "Let it in with …"
   */
  constructor(
    refusal: { readonly header: string; readonly value: string; readonly expected: string },
    remedy = 'the option crossOrigin.trustedOrigins, or on its route with @AllowCrossOrigin()',
  ) {
    super(
      HttpStatus.FORBIDDEN,
      `A cross-origin request was refused: its ${refusal.header} is ${refusal.value}; ` +
        `expected ${refusal.expected}. Let it in with ${remedy}.`,
    );
  }
}
