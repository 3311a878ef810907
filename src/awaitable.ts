/** A value, or the promise of one: what can answer at once need not make a promise. */
export type Awaitable<T> = T | PromiseLike<T>;

export function isThenable<T>(value: Awaitable<T>): value is PromiseLike<T> {
  return typeof (value as PromiseLike<T> | undefined)?.then === 'function';
}

/** `value.then(next)` that makes no promise where there is none: the way of every request on a synchronous storage. */
export function after<T, R>(value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> {
  return isThenable(value) ? value.then(next) : next(value);
}

/** Rejects with `error()` unless the promise settles in time; what it does afterwards is nobody's concern. */
export function within<T>(promise: PromiseLike<T>, timeout: number, error: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(error()), timeout);
    promise.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (reason: Error) => {
        clearTimeout(timer);
        reject(reason);
      },
    );
  });
}
