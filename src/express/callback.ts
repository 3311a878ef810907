/** Called with an error, or with none. What errors are, each library has its own word for. */
export type Callback<T = unknown> = (error?: any, value?: T) => void;

/**
 * Answers as libraries for express-session ask: through the callback, or with a promise, which nobody need catch.
 *
 * @returns `self` where there is a callback
 */
export function answer<S, T>(self: S, callback: Callback<T> | undefined, work: Promise<T>): S | Promise<T> {
  if (typeof callback !== 'function') {
    work.catch(() => undefined);
    return work;
  }
  // On a tick of its own: what a callback throws is its own, and no rejection of this promise.
  work.then(
    (value) => process.nextTick(callback, undefined, value),
    (error: unknown) => process.nextTick(callback, error),
  );
  return self;
}
