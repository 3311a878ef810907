import { setImmediate } from 'node:timers/promises';
import { SessionError } from '../errors.js';
import { type OptionRule, show } from '../rules.js';
import type { SessionRecord } from '../storage/record.js';
import type { CheckedStorage } from './checked-storage.js';

/** Records of a user that are dealt with before the event loop has its turn. */
export const PAGE = 50;

/** What names a user. Two that differ must stay two on the way to any storage: half a surrogate pair would not (S59). */
export const userRule = {
  takes: 'a non-empty string of well-formed Unicode that names a user',
  accepts: (user) => typeof user === 'string' && user !== '' && !/\p{Surrogate}/u.test(user),
} satisfies OptionRule;

/** @throws {SessionError} unless a user is named as the library names them */
export function checkUser(userId: unknown, where: string): void {
  if (!userRule.accepts(userId)) {
    throw new SessionError(`${where}: userId must be ${userRule.takes}; got ${show(userId)}.`);
  }
}

/** Ends these sessions of a user, unless another has logged in on one of them meanwhile, and says how many. */
export async function endAll(
  storage: CheckedStorage,
  userId: string,
  records: readonly SessionRecord[],
): Promise<number> {
  let ended = 0;
  for (let i = 0; i < records.length; i += PAGE) {
    if (i > 0) await setImmediate();
    const page = records.slice(i, i + PAGE);
    const done = await Promise.all(page.map(({ handle }) => storage.destroy(handle, { userId }, userId)));
    ended += done.filter(Boolean).length;
  }
  return ended;
}

/** What `describe` makes of each of many records, with turns of the event loop in between. */
export async function inPages<R>(
  records: readonly SessionRecord[],
  describe: (record: SessionRecord) => R,
): Promise<R[]> {
  const shown: R[] = [];
  for (const [i, record] of records.entries()) {
    if (i > 0 && i % PAGE === 0) await setImmediate();
    shown.push(describe(record));
  }
  return shown;
}
