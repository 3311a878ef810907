/**
 * A session was used in a way that cannot work; the message says what to do instead. The base of all errors of
 * this library.
 *
 * `instanceof` goes by the error's `code`. So it holds for errors that have to extend a class of Nest, and for
 * errors of a second copy of this package.
 */
export class SessionError extends Error {
  static readonly code: string = 'ERR_SESSION';
  readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = new.target.code;
  }

  static override [Symbol.hasInstance](this: { readonly code: string }, value: unknown): boolean {
    return hasCode(value, this.code);
  }
}

/** Whether a value is an error of this code, or with `ERR_SESSION` of any code of this library. */
export function hasCode(value: unknown, code: string): boolean {
  if (!(value instanceof Error)) return false;
  const { code: its } = value as { code?: unknown };
  return (
    its === code || (code === 'ERR_SESSION' && typeof its === 'string' && its.startsWith('ERR_SESSION_'))
  );
}

/** Options are wrong. Thrown while the application starts. */
export class SessionOptionsError extends SessionError {
  static override readonly code = 'ERR_SESSION_OPTIONS';
}

/** An id of one's own is taken. What is stored under it is untouched (S7). */
export class SessionExistsError extends SessionError {
  static override readonly code = 'ERR_SESSION_EXISTS';
  constructor(handle: string) {
    super(`Session ${handle} exists already and was left as it is; create a session with another id.`);
  }
}

/** One session's encoded data is larger than `maxBytes`. Nothing was saved (S55). */
export class SessionTooLargeError extends SessionError {
  static override readonly code = 'ERR_SESSION_TOO_LARGE';
  constructor(handle: string | undefined, bytes: number, maxBytes: number) {
    super(
      `${nameOf(handle)} takes ${bytes} bytes encoded, maxBytes is ${maxBytes}; nothing was saved. ` +
        'Keep big data elsewhere and its key in the session, or raise maxBytes.',
    );
  }
}

/**
 * What a storage throws when the turn for a lock did not come within `wait` milliseconds. The library makes
 * a `SessionLockError` of it, which has the same code.
 */
export class LockNotFreeError extends SessionError {
  static override readonly code = 'ERR_SESSION_LOCK';
  /** @param problem follows "its lock": "was not free within 10000 ms" */
  constructor(handle: string, problem: string) {
    super(
      `Session ${handle}: its lock ${problem}. ` +
        'Keep what runs inside tap() or @SessionLock() short, or raise lock.wait.',
    );
  }
}

export const nameOf = (handle: string | undefined): string =>
  handle === undefined ? 'The session' : `Session ${handle}`;
