import { SessionError } from '../errors.js';
import { type OptionRule, show } from '../rules.js';

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
