import { within } from '../../../awaitable.js';
import { SessionOptionsError } from '../../../errors.js';
import {
  type DialectName,
  noAnswer,
  type Result,
  type Row,
  type Run,
  type SqlPort,
  type Statement,
  type Value,
} from '../port.js';

/** An instance of Kysely. */
export interface KyselyInstance {
  withoutPlugins(): any;
  getExecutor(): any;
  executeQuery(...args: any[]): Promise<any>;
  connection(): any;
}

interface Executor {
  executeQuery(query: object): Promise<KyselyResult>;
}

interface KyselyResult {
  readonly rows: readonly Row[];
  readonly numAffectedRows?: bigint | undefined;
}

interface Adapter {
  readonly supportsTransactionalDdl: boolean;
  readonly supportsReturning: boolean;
  readonly supportsCreateIfNotExists: boolean;
}

export const isKysely = (value: any): value is KyselyInstance =>
  typeof value.getExecutor === 'function' &&
  typeof value.executeQuery === 'function' &&
  typeof value.withoutPlugins === 'function';

/**
 * Whatever driver Kysely has. It prepares nothing by itself and has no way to take a connection from it that does
 * not answer: the call is given up in time, and the connection stays with Kysely.
 */
export class KyselyPort implements SqlPort {
  readonly dialect: DialectName;
  private readonly database: KyselyInstance & Executor;

  constructor(database: KyselyInstance) {
    // Plugins change names and values of what comes back.
    this.database = database.withoutPlugins();
    this.dialect = dialectOf(this.database.getExecutor().adapter as Adapter);
  }

  run(statement: Statement, values: readonly Value[], timeout: number): Promise<Result> {
    return send(this.database, statement, values, timeout);
  }

  pinned<T>(work: (run: Run) => Promise<T>, timeout: number): Promise<T> {
    const done: Promise<T> = this.database
      .connection()
      .execute((connection: Executor) =>
        work((statement, values, left) => send(connection, statement, values, left)),
      );
    return within(done, timeout, () => noAnswer(timeout));
  }
}

function send(
  executor: Executor,
  { text }: Statement,
  values: readonly Value[],
  timeout: number,
): Promise<Result> {
  // What CompiledQuery.raw() makes, without importing Kysely.
  const query = { kind: 'RawNode', sqlFragments: [text], parameters: [] };
  const compiled = { sql: text, parameters: values, query, queryId: { queryId: text } };
  return within(
    executor.executeQuery(compiled).then(({ rows, numAffectedRows }) => ({
      rows,
      affected: Number(numAffectedRows ?? rows.length),
    })),
    timeout,
    () => noAnswer(timeout),
  );
}

/** By what the dialect's adapter says that it can. */
function dialectOf(adapter: Adapter): DialectName {
  if (adapter.supportsReturning) return adapter.supportsTransactionalDdl ? 'postgres' : 'sqlite';
  if (!adapter.supportsTransactionalDdl && adapter.supportsCreateIfNotExists) return 'mysql';
  throw new SessionOptionsError(
    'SqlStorage takes a Kysely instance for PostgreSQL, MySQL, MariaDB or SQLite; got one for another database.',
  );
}
