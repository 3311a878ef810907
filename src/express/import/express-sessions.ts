import { KeyObject } from 'node:crypto';
import type { SessionImporter } from '../../http/importer.js';
import { kindOf, type OptionRule } from '../../rules.js';
import { IMPORT_OPTIONS, type ImportOptions, importOptions, StoreImporter } from './importer.js';
import type { SigningSecret } from './signed-cookie.js';

const isSecret = (value: unknown): boolean =>
  (typeof value === 'string' && value !== '') || value instanceof Uint8Array || value instanceof KeyObject;

export const secretRule: OptionRule = {
  takes: 'what the other library has: a non-empty string, a Buffer, or a list of them',
  accepts: (value) => (Array.isArray(value) ? value.length > 0 && value.every(isSecret) : isSecret(value)),
  shows: kindOf,
};

export const secretsOf = (secret: ImportOptions['secret']): readonly SigningSecret[] =>
  (Array.isArray(secret) ? [...secret] : [secret]) as SigningSecret[];

/**
 * Imports the sessions of express-session: for the option `importFrom`. Who has one has one of ours, with its data, its
 * user and the life that it had left, and logs in nowhere.
 *
 * @throws {SessionOptionsError} when an option is missing, unknown or wrong
 *
 * @example
 * SessionModule.forRoot({
 *   importFrom: expressSessions({
 *     secret: process.env.SESSION_SECRET!,
 *     store: new RedisStore({ client }),
 *     userId: (data) => data.passport?.user,
 *   }),
 * })
 */
export function expressSessions(options: ImportOptions): SessionImporter {
  const rules = { ...IMPORT_OPTIONS, secret: secretRule };
  const { cookieName = 'connect.sid', secret, ...rest } = importOptions('expressSessions', options, rules);
  const format = { cookieName, prefix: 's:', algorithm: 'sha256', secrets: secretsOf(secret) };
  return new StoreImporter(format, rest);
}
