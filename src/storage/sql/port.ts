import type { Awaitable } from '../../awaitable.js';

export type DialectName = 'postgres' | 'mysql' | 'sqlite';

/** What is handed to a statement. Texts of the application go nowhere else (S71). */
export type Value = string | number | null;

/** A statement as its database reads it, with the names of what goes into its places, in order. */
export interface Statement {
  readonly text: string;
  readonly places: readonly string[];
  /** Depends on the text: a prepared statement's name on a connection that others use too. */
  readonly id: string;
  /** Whether it answers with rows; else with how many rows it found to change. */
  readonly rows: boolean;
}

export type Row = Readonly<Record<string, unknown>>;

export interface Result {
  readonly rows: readonly Row[];
  /** Rows inserted, deleted, or found to be updated. Some drivers do not count those that an update left as they were. */
  readonly affected: number;
}

/** Runs a statement. `timeout` is in milliseconds and covers the wait for a connection. */
export type Run = (statement: Statement, values: readonly Value[], timeout: number) => Awaitable<Result>;

/** The little that the storage needs of a driver. */
export interface SqlPort {
  readonly dialect: DialectName;

  /** Whether it answers at once, without promises. */
  readonly synchronous?: boolean | undefined;

  /**
   * Settles within `timeout`, as far as the driver allows it. A connection that comes too late is given back; one
   * that does not answer is dropped, and the database told to stop.
   */
  readonly run: Run;

  /** Runs several statements on one connection, which `work` has to itself; for a transaction. Absent on SQLite. */
  pinned?<T>(work: (run: Run) => Promise<T>, timeout: number): Promise<T>;
}

/** Why a statement was given up. */
export class SqlUnavailableError extends Error {
  override readonly name = 'SqlUnavailableError';
}

export const noConnection = (timeout: number): SqlUnavailableError =>
  new SqlUnavailableError(
    `No connection to the database was free within ${Math.round(timeout)} ms; nothing was sent.`,
  );

export const noAnswer = (timeout: number): SqlUnavailableError =>
  new SqlUnavailableError(
    `The database did not answer within ${Math.round(timeout)} ms; what was sent may still take effect.`,
  );
