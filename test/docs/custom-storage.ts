import { setTimeout as sleep } from 'node:timers/promises';
import type Database from 'libsql';
import {
  type Expectation,
  LockNotFreeError,
  type LockOptions,
  type RecordPage,
  SessionError,
  type SessionChange,
  type SessionLease,
  type SessionRecord,
  SessionStorage,
  type UpdateResult,
} from 'nest-sessions';

const TABLES = `
  create table if not exists sessions (
    handle text primary key,
    proof text not null,
    createdAt integer not null,
    touchedAt integer not null,
    expiresAt integer not null,
    authenticatedAt integer,
    ttl integer,
    userId text,
    client text,
    data text not null
  );
  create index if not exists sessionsByDeadline on sessions (expiresAt);
  create index if not exists sessionsByUser on sessions (userId) where userId is not null;
  create table if not exists sessionLine (
    place integer primary key autoincrement,
    handle text not null,
    until integer not null
  );
  create index if not exists sessionLineByHandle on sessionLine (handle, place)`;

/** The columns that an update may name, and all there are. Each has the name of its field. */
const CHANGEABLE = ['proof', 'touchedAt', 'expiresAt', 'authenticatedAt', 'ttl', 'userId', 'client'] as const;
const COLUMNS = ['handle', 'createdAt', ...CHANGEABLE, 'data'] as const;

const INSERT = `insert into sessions (${COLUMNS.join(', ')})
  values (${COLUMNS.map((column) => `@${column}`).join(', ')}) on conflict do nothing`;

/** One record, unless it has expired: then it counts as absent, purged or not. */
const LIVE = 'handle = @handle and expiresAt > @now';

/** Whose turn it is: the first place whose time is not up. A place is a lease's token as well. */
const FIRST_IN_LINE =
  '(select cast(min(place) as text) from sessionLine where handle = @handle and until > @now)';

type Row = Record<string, any>;

/** Sessions in a SQLite database, which several processes may share. */
export class SqliteStorage extends SessionStorage {
  private readonly statements = new Map<string, Database.Statement<[Row]>>();

  /** @param now milliseconds since the Unix epoch; the contract suite brings a clock of its own */
  constructor(
    private readonly database: Database.Database,
    private readonly now: () => number = () => Date.now(),
  ) {
    super();
  }

  /** Runs when the application starts. `close` is for what the storage opened by itself. */
  override open(): void {
    this.database.exec(TABLES);
  }

  create(record: SessionRecord): boolean {
    const values = { ...record, ...textsOf(record), data: jsonOf(record.data) };
    this.run('delete from sessions where handle = @handle and expiresAt <= @now', values);
    return this.run(INSERT, values) === 1;
  }

  read(handle: string): SessionRecord | undefined {
    return this.records(`select * from sessions where ${LIVE}`, { handle })[0];
  }

  update(handle: string, { set, remove = [], expected, lease, ...fields }: SessionChange): UpdateResult {
    // Undefined is "as it was". Null is "none from now on", as it is in SQL.
    const named = CHANGEABLE.filter((field) => fields[field] !== undefined);
    const changes = named.map((field) => `${field} = @${field}`);
    const values: Row = { handle, ...fields, ...textsOf(fields), ...expectedOf(expected), lease };
    if (set || remove.length > 0) {
      // By RFC 7396 a patch changes the keys that it names, and null removes one.
      changes.push('data = json_patch(data, @patch)');
      values.patch = jsonOf({ ...set, ...Object.fromEntries(remove.map((key) => [key, null])) });
    }
    const written = this.run(
      `update sessions set ${changes.join(', ') || 'handle = handle'}
       where ${LIVE} ${conditionsOf(expected)} ${lease === undefined ? '' : `and @lease = ${FIRST_IN_LINE}`}`,
      values,
    );
    if (written === 1) return 'ok';
    // Nothing was written. Why that was is no part of the step that must be one.
    if (!this.read(handle)) return 'gone';
    return lease !== undefined && !this.holds(handle, lease) ? 'lost' : 'conflict';
  }

  destroy(handle: string, expected?: Expectation): boolean {
    const sql = `delete from sessions where ${LIVE} ${conditionsOf(expected)}`;
    return this.run(sql, { handle, ...expectedOf(expected) }) === 1;
  }

  override purgeExpired(limit: number): number {
    this.run('delete from sessionLine where until <= @now');
    const purged = this.rows(
      `delete from sessions where handle in
         (select handle from sessions where expiresAt <= @now order by expiresAt limit @limit)
       returning handle, userId`,
      { limit },
    );
    for (const { handle, userId } of purged) {
      this.notify({ type: 'expired', handle, userId: userId ?? undefined });
    }
    return purged.length;
  }

  override count(): number {
    return this.rows('select count(*) as count from sessions')[0]!.count;
  }

  override byUser(userId: string): SessionRecord[] {
    return this.records('select * from sessions where userId = @userId and expiresAt > @now', { userId });
  }

  override list({ limit, cursor = '' }: { limit: number; cursor?: string | undefined }): RecordPage {
    const rows = this.rows(
      'select * from sessions where handle > @cursor and expiresAt > @now order by handle limit @limit',
      { cursor, limit },
    );
    const records = rows.flatMap((row) => this.recordOf(row) ?? []);
    return { records, cursor: rows.length < limit ? undefined : rows.at(-1)!.handle };
  }

  override async lock(handle: string, { wait, hold }: LockOptions): Promise<SessionLease> {
    const deadline = this.now() + wait;
    // A millisecond more, so that who does not wait at all can find the lock free.
    const [row] = this.rows(
      'insert into sessionLine (handle, until) values (@handle, @until) returning place',
      { handle, until: deadline + 1 },
    );
    const token = String(row!.place);
    const leave = () => void this.run('delete from sessionLine where place = @token', { token });
    for (;;) {
      const sql = `update sessionLine set until = @end where place = @token and @token = ${FIRST_IN_LINE}`;
      const held = this.run(sql, { handle, token, end: this.now() + hold }) === 1;
      if (held) return { token, release: leave };
      if (this.now() >= deadline) break;
      await sleep(5 + Math.random() * 5);
    }
    leave();
    throw new LockNotFreeError(handle, `was not free within ${wait} ms`);
  }

  protected override holds(handle: string, token: string): boolean {
    return this.rows(`select ${FIRST_IN_LINE} as token`, { handle })[0]!.token === token;
  }

  private records(sql: string, values: Row): SessionRecord[] {
    return this.rows(sql, values).flatMap((row) => this.recordOf(row) ?? []);
  }

  /** A damaged record is absent, and said to be damaged. */
  private recordOf(row: Row): SessionRecord | undefined {
    try {
      return {
        handle: row.handle,
        proof: row.proof,
        createdAt: row.createdAt,
        touchedAt: row.touchedAt,
        expiresAt: row.expiresAt,
        authenticatedAt: row.authenticatedAt ?? undefined,
        ttl: row.ttl ?? undefined,
        userId: row.userId ?? undefined,
        client: row.client === null ? undefined : JSON.parse(row.client),
        data: dataOf(row.data),
      };
    } catch {
      this.notify({ type: 'corrupt', handle: row.handle });
      return undefined;
    }
  }

  /** How many rows a statement wrote. */
  private run(sql: string, values: Row = {}): number {
    return this.prepared(sql).run(this.bound(values)).changes;
  }

  private rows(sql: string, values: Row = {}): Row[] {
    return this.prepared(sql).all(this.bound(values)) as Row[];
  }

  private bound(values: Row): Row {
    const entries = Object.entries({ now: this.now(), ...values });
    return Object.fromEntries(entries.map(([name, value]) => [name, value ?? null]));
  }

  private prepared(sql: string): Database.Statement<[Row]> {
    let statement = this.statements.get(sql);
    if (!statement) this.statements.set(sql, (statement = this.database.prepare(sql)));
    return statement;
  }
}

/** `is` compares null with null too. What is undefined is not asked for. */
function conditionsOf(expected: Expectation = {}): string {
  const asked = (['proof', 'ttl', 'userId'] as const).filter((field) => expected[field] !== undefined);
  return asked.map((field) => `and ${field} is @expected_${field}`).join(' ');
}

function expectedOf({ proof, ttl, userId }: Expectation = {}): Row {
  return { expected_proof: proof, expected_ttl: ttl, expected_userId: userId };
}

/** The driver cuts a text at a NUL. JSON escapes it; a user's id must stay what it is, or be refused (S59). */
function textsOf({ userId, client }: Pick<SessionChange, 'userId' | 'client'>): Row {
  if (userId?.includes('\0')) throw new SessionError('SqliteStorage: a user id with a NUL cannot be stored.');
  return { userId, client: typeof client === 'string' ? JSON.stringify(client) : client };
}

/** SQLite compares keys up to a NUL as well, so the odd characters of a key are written as in a URL. */
function jsonOf(data: Readonly<Record<string, string | null>>): string {
  return JSON.stringify(
    Object.fromEntries(Object.entries(data).map(([key, value]) => [encodeURIComponent(key), value])),
  );
}

function dataOf(json: string): Record<string, string> {
  const entries = Object.entries(JSON.parse(json) as Record<string, string>);
  return Object.fromEntries(entries.map(([key, value]) => [decodeURIComponent(key), value]));
}
