import { inspect } from 'node:util';
import { SessionOptionsError } from '../errors.js';

/** What the options of a storage take, each in words and as a check. */
export type StorageOptionRules<T> = Readonly<
  Record<keyof T, { readonly takes: string; readonly accepts: (value: unknown) => boolean }>
>;

/**
 * @param storage its class's name, for the message
 * @throws {SessionOptionsError} when an option is unknown or wrong
 */
export function checkStorageOptions<T extends object>(
  storage: string,
  options: T,
  rules: StorageOptionRules<T>,
): void {
  if (typeof options !== 'object' || options === null) {
    throw new SessionOptionsError(`${storage} takes an object of options; got ${inspect(options)}.`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(rules, name)) {
      throw new SessionOptionsError(
        `${storage}: there is no option ${name}; it takes ${Object.keys(rules).join(', ')}.`,
      );
    }
    const { takes, accepts } = rules[name as keyof T];
    if (value !== undefined && !accepts(value)) {
      throw new SessionOptionsError(`${storage}: ${name} must be ${takes}; got ${inspect(value)}.`);
    }
  }
}
