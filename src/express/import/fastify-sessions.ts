import { getHashes } from 'node:crypto';
import type { SessionImporter } from '../../http/importer.js';
import { secretRule, secretsOf } from './express-sessions.js';
import { IMPORT_OPTIONS, type ImportOptions, importOptions, StoreImporter } from './importer.js';

/** What `fastifySessions()` takes. */
export interface FastifyImportOptions extends Omit<ImportOptions, 'secret'> {
  /** As `@fastify/session` has it; of a `Signer` of `@fastify/cookie` its secrets and algorithm are taken. */
  readonly secret: ImportOptions['secret'] | FastifySigner;
  /** As `@fastify/session` has it. Default none. */
  readonly cookiePrefix?: string | undefined;
  /** As `@fastify/session` has it: the hash that cookies are signed with. Default `'sha256'`. */
  readonly algorithm?: string | undefined;
}

/** A `Signer` of `@fastify/cookie`. */
export interface FastifySigner {
  readonly secrets: readonly (string | Uint8Array)[];
  readonly algorithm?: string | undefined;
}

const isSigner = (value: unknown): value is FastifySigner =>
  secretRule.accepts((value as Partial<FastifySigner> | undefined)?.secrets);

/**
 * Imports the sessions of `@fastify/session`, as {@link expressSessions} does those of express-session.
 *
 * @throws {SessionOptionsError} when an option is missing, unknown or wrong
 *
 * @example
 * SessionModule.forRoot({
 *   importFrom: fastifySessions({ secret: process.env.SESSION_SECRET!, store, userId: (data) => data.userId }),
 * })
 */
export function fastifySessions(options: FastifyImportOptions): SessionImporter {
  const rules = {
    ...IMPORT_OPTIONS,
    secret: {
      ...secretRule,
      takes: `${secretRule.takes}, or a Signer of @fastify/cookie`,
      accepts: (value: unknown) => secretRule.accepts(value) || isSigner(value),
    },
    cookiePrefix: { takes: 'a string', accepts: (value: unknown) => typeof value === 'string' },
    algorithm: {
      takes: "the name of a hash such as 'sha256'",
      accepts: (value: unknown) => getHashes().includes(value as string),
    },
  };
  const given = importOptions('fastifySessions', options as ImportOptions & FastifyImportOptions, rules);
  const {
    cookieName = 'sessionId',
    cookiePrefix: prefix = '',
    secret: said,
    algorithm: named,
    ...rest
  } = given;
  const {
    secrets: secret,
    algorithm = named ?? 'sha256',
  }: FastifySigner | { secrets: typeof said; algorithm?: string } = isSigner(said) ? said : { secrets: said };
  return new StoreImporter({ cookieName, prefix, algorithm, secrets: secretsOf(secret) }, rest);
}
