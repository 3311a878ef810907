import type { SqlError } from '../dialects/dialect.js';
import {
  noAnswer,
  noConnection,
  type Result,
  type Row,
  type Run,
  type SqlPort,
  type Statement,
  type Value,
} from '../port.js';

/** What `createPool` of the package mysql2 made. */
export interface MysqlPool {
  getConnection(callback: (error: any, connection: any) => void): void;
  execute(...args: any[]): any;
  query(...args: any[]): any;
}

/** What `createPool` of mysql2/promise made. */
export interface MysqlPromisePool {
  readonly pool: MysqlPool;
  getConnection(): Promise<any>;
  execute(...args: any[]): any;
}

interface MysqlConnection {
  readonly threadId?: number | null;
  execute(options: object, callback: (error: SqlError | null, answer: unknown) => void): void;
  query(options: object, callback: (error: SqlError | null, answer: unknown) => void): void;
  release(): void;
  destroy(): void;
}

const isFunction = (value: unknown): boolean => typeof value === 'function';

export const isMysqlPool = (value: any): value is MysqlPool | MysqlPromisePool =>
  isFunction(value.getConnection) && isFunction(value.execute);

/** The pool that calls back, which is inside the one with promises. */
export const callbackPool = (value: MysqlPool | MysqlPromisePool): MysqlPool =>
  'pool' in value && isMysqlPool(value.pool) ? (value.pool as MysqlPool) : (value as MysqlPool);

/** What changes answers, set for each statement, whatever the application has set for its pool. */
const ANSWERS = {
  nestTables: false,
  rowsAsArray: false,
  namedPlaceholders: false,
  // One that is no function does not replace that of the pool.
  typeCast: (_: unknown, next: () => unknown) => next(),
  supportBigNumbers: false,
  bigNumberStrings: false,
  decimalNumbers: false,
  dateStrings: false,
};

export class MysqlPoolPort implements SqlPort {
  readonly dialect = 'mysql';

  constructor(private readonly pool: MysqlPool) {}

  run(statement: Statement, values: readonly Value[], timeout: number): Promise<Result> {
    return this.connected(timeout, (connection, left) => this.send(connection, statement, values, left));
  }

  pinned<T>(work: (run: Run) => Promise<T>, timeout: number): Promise<T> {
    return this.connected(timeout, (connection) =>
      work((statement, values, left) => this.send(connection, statement, values, left)),
    );
  }

  private connected<T>(
    timeout: number,
    work: (connection: MysqlConnection, left: number) => Promise<T>,
  ): Promise<T> {
    const started = performance.now();
    return new Promise((resolve, reject) => {
      let over = false;
      const timer = setTimeout(() => {
        over = true;
        reject(noConnection(timeout));
      }, timeout);
      this.pool.getConnection((error, connection: MysqlConnection) => {
        if (over) return connection && connection.release();
        clearTimeout(timer);
        if (error) return reject(error);
        work(connection, Math.max(1, timeout - (performance.now() - started))).then(
          (result) => {
            connection.release();
            resolve(result);
          },
          (failure: SqlError) => {
            // A connection that did not answer was dropped already; one that answered is as good as before.
            if (typeof failure.errno === 'number' && failure.errno > 0 && !isLost(failure))
              connection.release();
            else connection.destroy();
            reject(failure);
          },
        );
      });
    });
  }

  private send(
    connection: MysqlConnection,
    { text, places }: Statement,
    values: readonly Value[],
    timeout: number,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(noAnswer(timeout));
        this.kill(connection.threadId);
      }, timeout);
      const done = (error: SqlError | null, answer: unknown) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve(resultOf(answer));
      };
      // Prepared, also because values would else be quoted by rules that depend on the server's sql_mode (S71).
      if (places.length > 0) connection.execute({ ...ANSWERS, sql: text, values }, done);
      else connection.query({ ...ANSWERS, sql: text }, done);
    });
  }

  /** Else a statement that waits for a lock would go on waiting, and take effect when nobody reckons with it. */
  private kill(thread: number | null | undefined): void {
    if (!Number.isSafeInteger(thread)) return;
    let over = false;
    const timer = setTimeout(() => (over = true), 1_000);
    this.pool.getConnection((error, connection: MysqlConnection) => {
      clearTimeout(timer);
      if (error) return;
      if (over) return connection.release();
      const late = setTimeout(() => connection.destroy(), 1_000);
      connection.query({ sql: `KILL ${thread}` }, () => {
        clearTimeout(late);
        connection.release();
      });
    });
  }
}

/** Server shut-down, and a connection or statement that was killed. */
const isLost = ({ errno }: SqlError): boolean => errno === 1053 || errno === 1317 || errno === 1927;

function resultOf(answer: unknown): Result {
  if (Array.isArray(answer)) return { rows: answer as Row[], affected: answer.length };
  const { affectedRows, info } = answer as { affectedRows?: number; info?: string };
  // After an update: "Rows matched: 1  Changed: 0 …", in the server's language. A pool without the flag FOUND_ROWS
  // counts only those that were changed.
  const matched = info === undefined ? undefined : /\d+/.exec(info)?.[0];
  return { rows: [], affected: Number(matched ?? affectedRows ?? 0) };
}
