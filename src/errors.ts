import { HttpException, HttpStatus } from '@nestjs/common';

/** A session was used in a way that cannot work; the message says what to do instead. */
export class SessionError extends Error {
  readonly code: string = 'ERR_SESSION';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The module's options are wrong. Thrown while the application starts. */
export class SessionOptionsError extends SessionError {
  override readonly code = 'ERR_SESSION_OPTIONS';
}

/** The session was destroyed or expired meanwhile. It stays dead: nothing was written (S27). */
export class SessionGoneError extends SessionError {
  override readonly code = 'ERR_SESSION_GONE';
  constructor(handle: string | undefined) {
    super(`${name(handle)} was destroyed or has expired; nothing was saved. Start a new session.`);
  }
}

/** An id of one's own is taken. What is stored under it is untouched (S7). */
export class SessionExistsError extends SessionError {
  override readonly code = 'ERR_SESSION_EXISTS';
  constructor(handle: string) {
    super(`Session ${handle} exists already and was left as it is; create a session with another id.`);
  }
}

/** One session's encoded data is larger than `maxBytes`. Nothing was saved (S55). */
export class SessionTooLargeError extends SessionError {
  override readonly code = 'ERR_SESSION_TOO_LARGE';
  constructor(handle: string | undefined, bytes: number, maxBytes: number) {
    super(
      `${name(handle)} takes ${bytes} bytes encoded, maxBytes is ${maxBytes}; nothing was saved. ` +
        'Keep big data elsewhere and its key in the session, or raise maxBytes.',
    );
  }
}

/** A session's lock could not be had in time, was lost, or was asked for again inside itself (S54). */
export class SessionLockError extends SessionError {
  override readonly code = 'ERR_SESSION_LOCK';
}

/**
 * A login came second to another request that rotated the session: logging in would have taken it from the
 * other, so nothing was changed. As an `HttpException` it answers 409; trying again works.
 */
export class SessionConflictError extends HttpException {
  readonly code = 'ERR_SESSION_CONFLICT';
  override readonly name = 'SessionConflictError';
  constructor(handle: string | undefined) {
    super('Conflict', HttpStatus.CONFLICT);
    this.message = `${name(handle)} was rotated by another request; this login changed nothing. Try again.`;
  }
}

/**
 * The storage failed. As an `HttpException` it answers 503 and says nothing of the reason (S51);
 * the reason is in `cause`.
 */
export class SessionStorageError extends HttpException {
  readonly code = 'ERR_SESSION_STORAGE';
  override readonly name = 'SessionStorageError';
  constructor(cause: unknown) {
    super('Service Unavailable', HttpStatus.SERVICE_UNAVAILABLE, { cause });
  }
}

const name = (handle: string | undefined): string =>
  handle === undefined ? 'The session' : `Session ${handle}`;
