import type { Awaitable } from '../../../awaitable.js';
import { SessionOptionsError } from '../../../errors.js';
import { show } from '../../../rules.js';
import type { DialectName, Result, Run, SqlPort, Statement, Value } from '../port.js';

/** A `DataSource` of TypeORM. */
export interface TypeormDataSource {
  readonly isInitialized: boolean;
  readonly options: { readonly type: string };
  readonly driver: any;
  createQueryRunner(...args: any[]): any;
}

export const isDataSource = (value: any): value is TypeormDataSource =>
  typeof value.createQueryRunner === 'function' && typeof value.options === 'object' && 'driver' in value;

const DIALECTS: Readonly<Record<string, DialectName>> = {
  postgres: 'postgres',
  mysql: 'mysql',
  mariadb: 'mysql',
  'better-sqlite3': 'sqlite',
};

/**
 * The pool that the DataSource uses itself, that of the master where there are replicas. It is looked up each time,
 * as it is there once the DataSource is initialized, and another one after it was destroyed and initialized again.
 */
export class TypeormPort implements SqlPort {
  readonly dialect: DialectName;
  readonly synchronous: boolean;
  private known: { readonly pool: unknown; readonly port: SqlPort } | undefined;

  constructor(
    private readonly dataSource: TypeormDataSource,
    private readonly portOf: (pool: unknown) => SqlPort,
  ) {
    const dialect = DIALECTS[dataSource.options.type];
    if (dialect === undefined) {
      throw new SessionOptionsError(
        'SqlStorage takes a DataSource of type postgres, mysql, mariadb or better-sqlite3; ' +
          `got one of type ${show(dataSource.options.type)}.`,
      );
    }
    this.dialect = dialect;
    this.synchronous = dialect === 'sqlite';
    if (this.synchronous) this.pinned = undefined;
  }

  run(statement: Statement, values: readonly Value[], timeout: number): Awaitable<Result> {
    return this.port.run(statement, values, timeout);
  }

  pinned? = <T>(work: (run: Run) => Promise<T>, timeout: number): Promise<T> =>
    this.port.pinned!(work, timeout);

  private get port(): SqlPort {
    const { isInitialized, driver } = this.dataSource;
    if (!isInitialized) {
      throw new Error('The DataSource is not initialized: await dataSource.initialize() first.');
    }
    const pool: unknown =
      this.dialect === 'postgres'
        ? driver.master
        : this.dialect === 'mysql'
          ? (driver.pool ?? driver.poolCluster?.of('MASTER'))
          : driver.databaseConnection;
    if (this.known?.pool !== pool) this.known = { pool, port: this.portOf(pool) };
    return this.known!.port;
  }
}
