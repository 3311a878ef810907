import { checkedOptions, functionThat, oneOf, type OptionRules, wholeNumber } from '../../rules.js';

export interface MemoryStorageOptions {
  /** The most sessions there are at a time. Default 1,000,000. */
  readonly maxSessions?: number | undefined;
  /**
   * What `create` does when there are as many: `'evict'` (the default) ends the session without a user that would
   * expire first, and one of a user only where there is no other (S60); `'reject'` throws.
   */
  readonly whenFull?: 'evict' | 'reject' | undefined;
  /** The clock, in milliseconds since the Unix epoch. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/** @throws {SessionOptionsError} when an option is unknown or wrong */
export function resolveOptions(options: MemoryStorageOptions) {
  const given = checkedOptions('MemoryStorage', options, OPTIONS);
  // As it is at each call: tests replace `Date.now`.
  const { maxSessions = 1_000_000, whenFull = 'evict', now = () => Date.now() } = given;
  return { maxSessions, whenFull, now };
}

const OPTIONS: OptionRules<MemoryStorageOptions> = {
  maxSessions: wholeNumber(),
  whenFull: oneOf('evict', 'reject'),
  now: functionThat('returns milliseconds since the Unix epoch'),
};
