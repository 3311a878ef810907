import { SessionError } from '../errors.js';

/*
 * The names that values are stored under: the keys of the data, and beside them the fields of flashes, of the cookie, and
 * of where an imported session comes from.
 */

/** Starts the name of a field of flashes. */
export const FLASH = '~flash:';

export const isFlashField = (name: string): boolean => name.charCodeAt(0) === 126 && name.startsWith(FLASH);

/** The field of what the session's cookie has of its own. */
export const COOKIE = '~cookie';

/** The field of how the cookie of the library that the session comes from is cleared. */
export const FOREIGN_COOKIE = '~foreign-cookie';

const isOwnField = (name: string): boolean =>
  name.charCodeAt(0) === 126 && (name.startsWith(FLASH) || name === COOKIE || name === FOREIGN_COOKIE);

export const isDataKey = (name: string): boolean => !isOwnField(name) && name !== '__proto__';

/** @throws {SessionError} unless data can be stored under the key */
export function checkKey(key: string): void {
  if (!isDataKey(key)) throw new SessionError(`Session: ${quote(key)} cannot be a key; take another name.`);
  // On its way into a storage it would become another key (S59).
  if (!(key as string & { isWellFormed(): boolean }).isWellFormed()) {
    throw new SessionError(
      `Session: the key ${quote(key)} is not well-formed Unicode, as it has half of a character; encode it.`,
    );
  }
}

/** A text as an error shows it: on one line, at most 100 characters of it, and well-formed. */
export const quote = (text: string): string =>
  JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
