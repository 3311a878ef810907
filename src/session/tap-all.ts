import { setImmediate } from 'node:timers/promises';
import { SessionError } from '../errors.js';
import { SessionGoneError, SessionLockError, SessionStorageError } from '../errors.http.js';
import type { SessionRecord } from '../storage/record.js';
import { checkTap, type Tap } from './turns.js';
import { PAGE } from './users.js';

/**
 * Taps sessions one after another, until the list has none that is new.
 *
 * @param list those that live now
 * @param tap rejects with a `SessionGoneError` for one that has ended
 * @returns on how many of those that live in the end `fn` has run
 */
export async function tapAll(
  list: () => Promise<readonly SessionRecord[]>,
  tap: (handle: string, fn: Tap<unknown>) => Promise<unknown>,
  fn: Tap<unknown>,
): Promise<number> {
  checkTap(fn);
  const met = new Set<string>();
  const done = new Set<string>();
  for (;;) {
    const records = await list();
    const next = records.filter(({ handle }) => !met.has(handle));
    if (next.length === 0) return records.filter(({ handle }) => done.has(handle)).length;
    for (const { handle } of next) {
      if (met.size % PAGE === PAGE - 1) await setImmediate();
      met.add(handle);
      if (await tapOne(handle)) done.add(handle);
    }
  }

  /** False if the session has ended, or ended before the change could be saved. */
  async function tapOne(handle: string): Promise<boolean> {
    let failed = false;
    try {
      await tap(handle, async (data) => {
        failed = true;
        await fn(data);
        failed = false;
      });
      return true;
    } catch (error) {
      if (!failed && error instanceof SessionGoneError) return false;
      if (!failed && (error instanceof SessionStorageError || error instanceof SessionLockError)) throw error;
      throw new SessionError(
        `tapByUser failed on session ${handle}, for the reason in "cause"; ${done.size} before it are changed, and stay so.`,
        { cause: error },
      );
    }
  }
}
