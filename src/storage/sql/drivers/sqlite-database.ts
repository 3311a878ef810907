import type { Result, Row, SqlPort, Statement, Value } from '../port.js';

/** A database of better-sqlite3, libsql or `node:sqlite`. */
export interface SqliteDatabase {
  prepare(sql: string): any;
  exec(sql: string): any;
  close(): any;
}

interface Prepared {
  run(...values: readonly Value[]): { readonly changes: number | bigint };
  all(...values: readonly Value[]): readonly Row[];
}

/** Milliseconds that SQLite itself may wait for a busy file: as long, the whole process stands still. */
export const BUSY_TIMEOUT = 20;

/** A statement that goes into somebody's open transaction, whose end would decide about it. */
class InTransactionError extends Error {
  override readonly name = 'InTransactionError';
  readonly code = 'SQLITE_BUSY';
  constructor() {
    super(
      'The application has a transaction open on this SQLite database, and a session is no part of it. ' +
        'Give SqlStorage a connection of its own: SqlStorage.connect("sqlite:…").',
    );
  }
}

export const isSqliteDatabase = (value: any): value is SqliteDatabase =>
  typeof value.prepare === 'function' &&
  typeof value.exec === 'function' &&
  typeof value.close === 'function';

/** Answers at once. */
export class SqliteDatabasePort implements SqlPort {
  readonly dialect = 'sqlite';
  readonly synchronous = true;
  private readonly prepared = new Map<Statement, Prepared>();
  /** The application's own busy timeout, if it is too long; it holds for everything but our statements. */
  private readonly patience: number | undefined;
  private readonly isWal: boolean;

  constructor(private readonly database: SqliteDatabase) {
    const pragma = (name: string): unknown =>
      Object.values((database.prepare(`PRAGMA ${name}`) as Prepared).all()[0])[0];
    const patience = Number(pragma('busy_timeout'));
    this.patience = patience > BUSY_TIMEOUT ? patience : undefined;
    this.isWal = pragma('journal_mode') === 'wal';
  }

  run(statement: Statement, values: readonly Value[]): Result {
    // libsql ends the process instead of throwing.
    if ((this.database as { readonly open?: unknown }).open === false)
      throw new Error('The database is closed.');
    const reads = statement.text.startsWith('SELECT');
    if (!reads && this.inTransaction) throw new InTransactionError();
    if (this.patience === undefined || (reads && this.isWal)) return this.send(statement, values);
    this.database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
    try {
      return this.send(statement, values);
    } finally {
      this.database.exec(`PRAGMA busy_timeout = ${this.patience}`);
    }
  }

  private send(statement: Statement, values: readonly Value[]): Result {
    let prepared = this.prepared.get(statement);
    if (!prepared) this.prepared.set(statement, (prepared = this.prepare(statement.text)));
    if (!statement.rows) return { rows: [], affected: Number(prepared.run(...values).changes) };
    const rows = prepared.all(...values);
    return { rows, affected: rows.length };
  }

  private prepare(text: string): Prepared {
    const statement = this.database.prepare(text);
    // Numbers as numbers, whatever the application has set for its own statements.
    statement.safeIntegers?.(false);
    statement.setReadBigInts?.(false);
    return statement as Prepared;
  }

  private get inTransaction(): boolean {
    const { inTransaction, isTransaction } = this.database as {
      readonly inTransaction?: boolean;
      readonly isTransaction?: boolean;
    };
    return inTransaction ?? isTransaction ?? false;
  }
}
