import type { UserIdType } from '../options.js';
import type { DialectName, Value } from '../port.js';
import type { Statements } from '../statements.js';

/** What is different from database to database. */
export interface Dialect {
  readonly name: DialectName;
  readonly statements: Statements;
  /** `BEGIN` of the transaction of a purge's batch; absent where its statements do without. */
  readonly beginPurge?: readonly string[] | undefined;
  /** Whether `removeDue` answers with what it removed. */
  readonly tellsRemoved: boolean;

  /** A user for the place `:user`. */
  userValue(userId: string): string;
  /** The user in the column `user_id` of an answer. */
  userOf(column: string): string;
  /** Handles for the place `:handles`. */
  handlesValue(handles: readonly string[]): Value;

  /** The statements that make the tables, one by one. `version` is what the database says of itself. */
  ddl(options: DdlOptions): readonly string[];
  /** Asks for the version, where the tables depend on it. */
  readonly version?: string | undefined;
  /** Around {@link ddl}: one creates at a time, all of it or nothing. Absent where the database cannot. */
  readonly beginDdl?: readonly string[] | undefined;

  /** A deadlock, a serialization failure or a busy file: the statement did nothing and may be tried again. */
  isTransient(error: SqlError): boolean;
  /** `create` met a handle that is taken. */
  isDuplicate(error: SqlError): boolean;
  /** There is no such table. */
  isMissing(error: SqlError): boolean;
}

export interface DdlOptions {
  readonly userId: UserIdType;
  readonly references?: string | undefined;
  /** Whether what is there already is left alone. */
  readonly ifNotExists: boolean;
  readonly version?: string | undefined;
}

/** What drivers tell of a failure. */
export interface SqlError extends Error {
  readonly code?: unknown;
  readonly errno?: unknown;
  readonly errcode?: unknown;
}
