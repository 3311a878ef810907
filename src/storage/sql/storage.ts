import { after, type Awaitable, isThenable } from '../../awaitable.js';
import type { SessionRecord } from '../record.js';
import {
  type Expectation,
  type LockOptions,
  type RecordPage,
  type SessionChange,
  type SessionLease,
  SessionStorage,
  type UpdateResult,
} from '../session-storage.js';
import { Attempts } from './attempts.js';
import { connectDatabase, connectOptions, type SqlConnectOptions } from './connect.js';
import { portOf, type SqlDatabase } from './database.js';
import type { Dialect, SqlError } from './dialects/dialect.js';
import { dialectOf } from './dialects/index.js';
import { SqlLeases } from './leases.js';
import {
  checkDatabaseName,
  ddlOptions,
  type SqlDatabaseName,
  type SqlDdlOptions,
  type SqlStorageOptions,
  sqlOptions,
} from './options.js';
import type { Row, Value } from './port.js';
import { Purge } from './purge.js';
import { Reads } from './reads.js';
import { recordOf, rowOf } from './record-row.js';
import { BATCH, type Statements } from './statements.js';
import { prepareTables } from './table.js';
import { expectationValues, Updates } from './updates.js';
import { UserColumn } from './users.js';

/** What every handle of the library is made of; another one names no record. */
const HANDLE = /^[\w-]{1,64}$/;

/**
 * Sessions in the database that the application has: PostgreSQL 14, MariaDB 10.6, MySQL 8, SQLite 3.38 or later,
 * shared by any number of processes.
 *
 * A session is one row. Reading one is one statement and writing to one is another, which also says what must hold
 * for it; no transaction is held, and no connection while a lock is. On a SQLite database the answers come at once.
 *
 * A failure rejects within `commandTimeout`; see `docs/sql.md` for what each driver can do about it.
 *
 * @example
 * import { Pool } from 'pg';
 * import { SqlStorage } from 'nest-sessions/sql';
 *
 * SessionModule.forRoot({ storage: new SqlStorage(new Pool({ connectionString: 'postgres://localhost/app' })) })
 */
export class SqlStorage extends SessionStorage {
  private readonly dialect: Dialect;
  private readonly statements: Statements;
  private readonly attempts: Attempts;
  private readonly leases: SqlLeases;
  /** Absent where a read is done at once. */
  private readonly reads: Reads | undefined;
  private readonly purge: Purge;
  private readonly users: UserColumn;
  private readonly updates: Updates;
  private readonly createTable: boolean;
  private readonly closeDatabase: (() => Promise<void>) | undefined;
  private closed: Promise<void> | undefined;
  private readonly now: () => number;

  /**
   * @param database a `Pool` of pg, a pool of mysql2, a database of better-sqlite3, libsql or `node:sqlite`, a Kysely
   *   instance or a TypeORM `DataSource`. It stays the caller's: the storage neither closes nor changes it.
   * @throws {SessionOptionsError} when it is none of these, or an option is unknown or wrong
   */
  constructor(database: SqlDatabase, options: SqlStorageOptions = {}) {
    super();
    const { table, schema, createTable, commandTimeout, prepare, userId, now } = sqlOptions(options);
    const port = portOf(database, prepare);
    this.dialect = dialectOf(port.dialect, table, schema, userId);
    this.statements = this.dialect.statements;
    this.attempts = new Attempts(port, this.dialect, commandTimeout);
    this.leases = new SqlLeases(this.attempts, this.statements, now);
    this.reads = port.synchronous ? undefined : new Reads(this.attempts, this.dialect, now);
    this.purge = new Purge(this.attempts, this.dialect);
    this.users = new UserColumn(userId, this.dialect);
    this.updates = new Updates(this.attempts, this.dialect, this.users, (handle) => this.read(handle), now);
    this.createTable = createTable;
    this.closeDatabase = closers.get(database);
    this.now = now;
  }

  /**
   * A storage with a pool or a file of its own, which is closed when the application shuts down.
   *
   * @param url `postgres://`, `mysql://` or `mariadb://` as their drivers take it, `sqlite:relative.db` or
   *   `sqlite:/absolute.db`
   * @throws {SessionOptionsError} when the driver is not installed, or the URL or an option is wrong
   *
   * @example
   * SessionModule.forRootAsync({
   *   useFactory: async () => ({ storage: await SqlStorage.connect(process.env.DATABASE_URL!) }),
   * })
   */
  static async connect(url: string, options: SqlConnectOptions = {}): Promise<SqlStorage> {
    const { pool, ...rest } = connectOptions(options);
    const { database, close } = await connectDatabase(url, pool);
    closers.set(database, close);
    return new SqlStorage(database, rest);
  }

  /**
   * The statements that create the tables, for a migration; each ends with `;` and holds no other one.
   *
   * @throws {SessionOptionsError} when an option is unknown or wrong
   *
   * @example
   * // in a migration of TypeORM
   * for (const statement of SqlStorage.ddl('postgres').split(';\n')) await queryRunner.query(statement);
   */
  static ddl(database: SqlDatabaseName, options: SqlDdlOptions = {}): string {
    checkDatabaseName(database);
    const { table, schema, userId, references } = ddlOptions(options);
    const name = database === 'mariadb' ? 'mysql' : database;
    const statements = dialectOf(name, table, schema, userId).ddl({ references, version: database });
    return statements.join(';\n') + ';\n';
  }

  create(record: SessionRecord): Awaitable<boolean> {
    const { handle, userId } = record;
    if (!HANDLE.test(handle))
      throw new Error('SqlStorage: a handle is 1 to 64 characters of A–Z a–z 0–9 _ -.');
    if (userId !== undefined) this.users.check(userId);
    const row = rowOf(record, this.users);
    return after(this.insert(row), (inserted): Awaitable<boolean> => {
      if (inserted) return true;
      // Either it lives, or this removes it, or a purge was quicker.
      const removed = this.attempts.run(this.statements.removeExpired, { handle, now: this.now() });
      return after(removed, () => this.insert(row));
    });
  }

  read(handle: string): Awaitable<SessionRecord | undefined> {
    if (!HANDLE.test(handle)) return undefined;
    return after(this.row(handle), (row) => row && this.decode(row));
  }

  update(handle: string, change: SessionChange): Awaitable<UpdateResult> {
    if (change.userId) this.users.check(change.userId);
    return HANDLE.test(handle) ? this.updates.make(handle, change) : 'gone';
  }

  destroy(handle: string, expected: Expectation = {}): Awaitable<boolean> {
    if (!HANDLE.test(handle) || !this.users.canHold(expected.userId)) return false;
    const values = { handle, now: this.now(), ...expectationValues(expected, this.users) };
    return after(this.attempts.run(this.statements.destroy, values), ({ affected }) => affected > 0);
  }

  /** Looks only at what is due, in batches of at most 500; several processes may do so at once. */
  override purgeExpired(limit: number): Promise<number> {
    return this.purge.run(limit, this.now(), (row) => {
      this.notify({
        type: 'expired',
        handle: String(row['handle']),
        userId: this.users.of(row),
      });
    });
  }

  override count(): Awaitable<number> {
    return after(this.attempts.run(this.statements.count, {}, this.attempts.patient), ({ rows }) =>
      Number(rows[0]['count']),
    );
  }

  override byUser(userId: string): Awaitable<SessionRecord[]> {
    if (!this.users.canHold(userId)) return [];
    const values = { user: this.users.value(userId), now: this.now() };
    return after(this.attempts.run(this.statements.byUser, values), ({ rows }) => this.decodeAll(rows));
  }

  override alive(handles: readonly string[]): Awaitable<string[]> {
    const [some, more] = [handles.slice(0, BATCH), handles.slice(BATCH)];
    const values = {
      handles: this.dialect.handlesValue(some.filter((handle) => HANDLE.test(handle))),
      now: this.now(),
    };
    return after(this.attempts.run(this.statements.alive, values), ({ rows }): Awaitable<string[]> => {
      const alive = rows.map((row) => String(row['handle']));
      return more.length === 0 ? alive : after(this.alive(more), (others) => [...alive, ...others]);
    });
  }

  override list(page: {
    readonly limit: number;
    readonly cursor?: string | undefined;
  }): Awaitable<RecordPage> {
    const limit = Math.min(page.limit, BATCH);
    const values = { after: page.cursor ?? '', now: this.now(), limit };
    return after(this.attempts.run(this.statements.list, values), ({ rows }) => ({
      records: this.decodeAll(rows.slice(0, limit)),
      cursor: rows.length < limit ? undefined : String(rows[limit - 1]['handle']),
    }));
  }

  override ping(): Awaitable<void> {
    return after(this.attempts.run(this.statements.ping, {}), () => undefined);
  }

  override lock(handle: string, options: LockOptions): Promise<SessionLease> {
    return this.leases.acquire(handle, options);
  }

  /** @throws {Error} with the statements to create them in it, when the tables are not there and cannot be created */
  override open(): Promise<void> {
    return prepareTables(this.attempts, this.dialect, this.createTable);
  }

  override async close(): Promise<void> {
    await (this.closed ??= this.closeDatabase?.());
  }

  private row(handle: string): Awaitable<Row | undefined> {
    if (this.reads) return this.reads.read(handle);
    return after(this.attempts.run(this.statements.read, { handle, now: this.now() }), ({ rows }) => rows[0]);
  }

  private insert(row: Readonly<Record<string, Value>>): Awaitable<boolean> {
    const taken = (error: unknown): boolean => {
      if (this.dialect.isDuplicate(error as SqlError)) return false;
      throw error;
    };
    const inserted = this.attempts.run(this.statements.create, row);
    return isThenable(inserted)
      ? inserted.then(({ affected }) => affected > 0, taken)
      : inserted.affected > 0;
  }

  private decodeAll(rows: readonly Row[]): SessionRecord[] {
    return rows.map((row) => this.decode(row)).filter((record) => record !== undefined);
  }

  private decode(row: Row): SessionRecord | undefined {
    try {
      return recordOf(row, this.users);
    } catch {
      this.notify({ type: 'corrupt', handle: String(row['handle']) });
      return undefined;
    }
  }
}

/** How to close what {@link SqlStorage.connect} opened. */
const closers = new WeakMap<SqlDatabase, () => Promise<void>>();
