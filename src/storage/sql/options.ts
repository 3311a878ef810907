import { inspect } from 'node:util';
import { SessionOptionsError } from '../../errors.js';
import { checkStorageOptions, type StorageOptionRules } from '../storage-options.js';
import { isName, NAME_RULE } from './names.js';

/** What the column of the users is: text, or the type of the application's own users. */
export type UserIdType = 'text' | 'uuid' | 'bigint';

/** What `new SqlStorage(database, options)` takes. Everything has a default. */
export interface SqlStorageOptions {
  /** Name of the table: 1 to 48 letters, digits and `_`. A second table has this name and `_leases`. Default `'sessions'`. */
  readonly table?: string | undefined;
  /** Where the tables are: a schema of PostgreSQL, a database of MySQL, an attached database of SQLite. Default: where the connection is. */
  readonly schema?: string | undefined;
  /** Whether tables that are not there are created when the application starts. Default true. */
  readonly createTable?: boolean | undefined;
  /**
   * Longest time of one call in milliseconds, the wait for a connection and all further attempts included; then
   * the request gets its 503. Purging, counting and starting may take ten times as long. Default 1,000.
   */
  readonly commandTimeout?: number | undefined;
  /**
   * Whether statements are prepared once per connection of PostgreSQL. False is for a pooler that gives each
   * transaction another connection, as PgBouncer does in transaction mode. Default true.
   */
  readonly prepare?: boolean | undefined;
  /** Type of the column `user_id`; see {@link SqlDdlOptions.references}. Default `'text'`. */
  readonly userId?: UserIdType | undefined;
  /** The clock, in milliseconds since the Unix epoch. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/** What `SqlStorage.ddl(database, options)` takes. */
export interface SqlDdlOptions {
  /** As in {@link SqlStorageOptions}. */
  readonly table?: string | undefined;
  /** As in {@link SqlStorageOptions}. */
  readonly schema?: string | undefined;
  /** As in {@link SqlStorageOptions}: the storage has to be told too. */
  readonly userId?: UserIdType | undefined;
  /** Table and column of the application's users, `'users(id)'`: a user who is deleted takes the sessions along. */
  readonly references?: string | undefined;
}

const NAME = { takes: NAME_RULE, accepts: isName };
const USER_ID = {
  takes: "'text', 'uuid' or 'bigint'",
  accepts: (value: unknown) => value === 'text' || value === 'uuid' || value === 'bigint',
};
const FLAG = { takes: 'true or false', accepts: (value: unknown) => typeof value === 'boolean' };

const OPTIONS: StorageOptionRules<SqlStorageOptions> = {
  table: NAME,
  schema: NAME,
  createTable: FLAG,
  commandTimeout: {
    takes: 'a number of milliseconds from 1 to 600,000',
    accepts: (value) => typeof value === 'number' && value >= 1 && value <= 600_000,
  },
  prepare: FLAG,
  userId: USER_ID,
  now: { takes: 'a function that returns milliseconds', accepts: (value) => typeof value === 'function' },
};

const DDL_OPTIONS: StorageOptionRules<SqlDdlOptions> = {
  table: NAME,
  schema: NAME,
  userId: USER_ID,
  references: {
    takes: "a table and its column, such as 'users(id)'",
    accepts: (value) => typeof value === 'string',
  },
};

/** @throws {SessionOptionsError} when one is unknown or wrong */
export function resolveOptions(options: SqlStorageOptions) {
  checkStorageOptions('SqlStorage', options, OPTIONS);
  const {
    table = 'sessions',
    schema,
    createTable = true,
    commandTimeout = 1_000,
    prepare = true,
    userId = 'text',
    now = () => Date.now(),
  } = options;
  return { table, schema, createTable, commandTimeout, prepare, userId, now };
}

/** @throws {SessionOptionsError} when one is unknown or wrong */
export function resolveDdlOptions(options: SqlDdlOptions) {
  checkStorageOptions('SqlStorage.ddl', options, DDL_OPTIONS);
  const { table = 'sessions', schema, userId = 'text', references } = options;
  return { table, schema, userId, references };
}

const DIALECTS = ['postgres', 'mysql', 'mariadb', 'sqlite'] as const;
export type SqlDatabaseName = (typeof DIALECTS)[number];

/** @throws {SessionOptionsError} when it is the name of none */
export function checkDatabaseName(name: unknown): asserts name is SqlDatabaseName {
  if ((DIALECTS as readonly unknown[]).includes(name)) return;
  throw new SessionOptionsError(
    `SqlStorage.ddl takes 'postgres', 'mysql', 'mariadb' or 'sqlite'; got ${inspect(name)}.`,
  );
}
