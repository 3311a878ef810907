import { SessionOptionsError } from '../../errors.js';
import { checkedOptions, flag, functionThat, oneOf, type OptionRules, show } from '../../rules.js';
import { isName, isReference, NAME_RULE, REFERENCE_RULE } from './names.js';

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

const name = { takes: NAME_RULE, accepts: isName };
const userIdType = oneOf('text', 'uuid', 'bigint');

export const SQL_OPTIONS: OptionRules<SqlStorageOptions> = {
  table: name,
  schema: name,
  createTable: flag,
  commandTimeout: {
    takes: 'a number of milliseconds from 1 to 600,000',
    accepts: (value) => typeof value === 'number' && value >= 1 && value <= 600_000,
  },
  prepare: flag,
  userId: userIdType,
  now: functionThat('returns milliseconds'),
};

const DDL_OPTIONS: OptionRules<SqlDdlOptions> = {
  table: name,
  schema: name,
  userId: userIdType,
  references: { takes: REFERENCE_RULE, accepts: isReference },
};

/**
 * Checks options and fills in the defaults.
 *
 * @throws {SessionOptionsError} one error that names every option that is unknown or wrong
 */
export function sqlOptions(options: SqlStorageOptions) {
  const given = checkedOptions('SqlStorage', options, SQL_OPTIONS);
  const {
    table = 'sessions',
    schema,
    createTable = true,
    commandTimeout = 1_000,
    prepare = true,
    userId = 'text',
    now = () => Date.now(),
  } = given;
  return { table, schema, createTable, commandTimeout, prepare, userId, now };
}

/** @throws {SessionOptionsError} one error that names every option that is unknown or wrong */
export function ddlOptions(options: SqlDdlOptions) {
  const given = checkedOptions('SqlStorage.ddl', options, DDL_OPTIONS);
  const { table = 'sessions', schema, userId = 'text', references } = given;
  return { table, schema, userId, references };
}

const DIALECTS = ['postgres', 'mysql', 'mariadb', 'sqlite'] as const;
export type SqlDatabaseName = (typeof DIALECTS)[number];

/** @throws {SessionOptionsError} when it is the name of none */
export function checkDatabaseName(database: unknown): asserts database is SqlDatabaseName {
  if ((DIALECTS as readonly unknown[]).includes(database)) return;
  throw new SessionOptionsError(
    `SqlStorage.ddl takes 'postgres', 'mysql', 'mariadb' or 'sqlite'; got ${show(database)}.`,
  );
}
