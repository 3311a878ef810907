import { setImmediate } from 'node:timers';
import type { Awaitable } from '../../awaitable.js';

/** How many records a slice looks at: less than a millisecond's worth. */
export const SLICE = 500;

/**
 * Runs `slice` until nothing is left, and gives the event loop a turn before each further one: a long piece of
 * work keeps nobody waiting (S51). What one slice can do is answered at once, without a promise.
 *
 * Between two slices sessions come and go, so a slot that one slice saw may hold another session in the next.
 *
 * @param slice looks at {@link SLICE} records at most, and says whether more is left
 */
export function inSlices<T>(slice: () => boolean, result: () => T): Awaitable<T> {
  return slice() ? goOn(slice, result) : result();
}

async function goOn<T>(slice: () => boolean, result: () => T): Promise<T> {
  do await new Promise<void>((resolve) => void setImmediate(resolve));
  while (slice());
  return result();
}
