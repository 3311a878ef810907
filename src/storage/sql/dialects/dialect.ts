import type { SessionChange } from '../../session-storage.js';
import type { DialectName, Statement, Value } from '../port.js';
import type { Statements } from '../statements.js';

/** What is different from database to database. */
export interface Dialect {
  readonly name: DialectName;
  readonly statements: Statements;
  /** `BEGIN` of the transaction of a purge's batch; absent where its statements do without. */
  readonly beginPurge?: readonly string[] | undefined;
  /** Whether `removeDue` answers with what it removed. */
  readonly tellsRemoved: boolean;

  /**
   * The one that changes a record. With the fence it does so only if the lease holds, and nobody can take the lease
   * over before it is done.
   */
  update(removing: number, fenced: boolean): Statement;
  /**
   * The one that makes many changes at once, where the database can say which it has made: `:changes` is a list in JSON of what
   * {@link update} takes, and `:handles` their handles. It answers with the handles of the records that it changed. One that
   * somebody else has locked is not among them.
   */
  readonly updateMany?: Statement | undefined;
  /** What of the data changes, for the places of a statement that removes so many keys. */
  dataValues(set: SessionChange['set'], remove: readonly string[]): Readonly<Record<string, Value>>;

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
  /** The statement did nothing, for a value in it; for {@link updateMany}. */
  isRefusal?(error: SqlError): boolean;
  /** `create` met a handle that is taken. */
  isDuplicate(error: SqlError): boolean;
  /** A table or one of its columns is not there. */
  isMissing(error: SqlError): boolean;
}

export interface DdlOptions {
  readonly references?: string | undefined;
  /** Whether what is there already is left alone. */
  readonly ifNotExists?: boolean | undefined;
  readonly version?: string | undefined;
}

/** What drivers tell of a failure. */
export interface SqlError extends Error {
  readonly code?: unknown;
  readonly errno?: unknown;
  readonly errcode?: unknown;
}
