import { connect } from 'node:net';
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

/** A `Pool` of the package pg, or what has its shape. */
export interface PgPool {
  readonly totalCount: number;
  readonly idleCount: number;
  readonly options: object;
  connect(callback: (error: any, client: any, release: (destroy?: any) => void) => void): void;
  query(...args: any[]): any;
}

interface PgClient {
  readonly host?: string;
  readonly port?: number;
  readonly processID?: unknown;
  readonly secretKey?: unknown;
  query(config: object, callback: (error: SqlError | null, result: PgResult) => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  removeListener(event: 'error', listener: (error: Error) => void): void;
}

interface PgResult {
  readonly rows: readonly Row[];
  readonly rowCount: number | null;
}

type Release = (destroy?: boolean) => void;

export const isPgPool = (value: any): value is PgPool =>
  typeof value.connect === 'function' &&
  typeof value.query === 'function' &&
  typeof value.totalCount === 'number' &&
  typeof value.idleCount === 'number';

/** Every column as the text that it came as, whatever parsers the application has set. */
const TYPES = { getTypeParser: () => String };

export class PgPoolPort implements SqlPort {
  readonly dialect = 'postgres';

  constructor(
    private readonly pool: PgPool,
    private readonly prepare: boolean,
  ) {}

  run(statement: Statement, values: readonly Value[], timeout: number): Promise<Result> {
    return this.connected(timeout, (connection, left) =>
      connection.send(this.queryOf(statement, values), left),
    );
  }

  pinned<T>(work: (run: Run) => Promise<T>, timeout: number): Promise<T> {
    return this.connected(timeout, (connection) =>
      work((statement, values, left) => connection.send(this.queryOf(statement, values), left)),
    );
  }

  private connected<T>(
    timeout: number,
    work: (connection: Connection, left: number) => Promise<T>,
  ): Promise<T> {
    const started = performance.now();
    return new Promise((resolve, reject) => {
      let over = false;
      const timer = setTimeout(() => {
        over = true;
        reject(noConnection(timeout));
      }, timeout);
      this.pool.connect((error, client: PgClient, release: Release) => {
        if (over) return client && release();
        clearTimeout(timer);
        if (error) return reject(error);
        const connection = new Connection(client, release);
        work(connection, Math.max(1, timeout - (performance.now() - started))).then(
          (result) => {
            connection.giveBack();
            resolve(result);
          },
          (failure: Error) => {
            connection.giveBack();
            reject(failure);
          },
        );
      });
    });
  }

  private queryOf({ text, id, places }: Statement, values: readonly Value[]): object {
    if (places.length === 0) return { text, types: TYPES };
    return { name: this.prepare ? id : undefined, text, values, types: TYPES };
  }
}

const resultOf = ({ rows, rowCount }: PgResult): Result => ({ rows, affected: rowCount ?? 0 });

/** The query's callback has the error as well; without a listener it would end the process. */
const ignore = () => undefined;

/** A connection of the pool, while it is ours. */
class Connection {
  private broken = false;
  /** There while the server still works on what was given up. */
  private stuck: Promise<void> | undefined;

  constructor(
    private readonly client: PgClient,
    private readonly release: Release,
  ) {
    client.on('error', ignore);
  }

  send(query: object, timeout: number): Promise<Result> {
    return new Promise((resolve, reject) => {
      let stopped = ignore as () => void;
      const timer = setTimeout(() => {
        this.broken = true;
        this.stuck = new Promise((settle) => (stopped = settle));
        cancel(this.client);
        reject(noAnswer(timeout));
      }, timeout);
      this.client.query(query, (error, result) => {
        clearTimeout(timer);
        this.broken = error !== null && isFatal(error);
        stopped();
        if (error) reject(error);
        else resolve(resultOf(result));
      });
    });
  }

  /** Back to the pool, or out of it if it is of no more use. */
  giveBack(): void {
    if (!this.stuck) return this.end();
    // One that stops when it is told to is as good as before.
    const timer = setTimeout(() => this.end(), STOPS_WITHIN);
    void this.stuck.then(() => {
      clearTimeout(timer);
      this.end();
    });
  }

  private readonly end = once(() => {
    // The listener of a broken one stays: what it still has to say is nobody's concern.
    if (!this.broken) this.client.removeListener('error', ignore);
    this.release(this.broken);
  });
}

/** Milliseconds that the server may take to stop a statement; then its connection is dropped. */
const STOPS_WITHIN = 500;

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    work();
  };
}

/**
 * Whether the connection is of no more use: anything but an error that the server answered a statement with, and of
 * those the ones that say that the server or the connection ends, or that what was prepared on it was thrown away
 * (`DISCARD ALL`): the driver would go on to believe that it is there.
 */
const isFatal = ({ code }: SqlError): boolean => !/^(?!57P|08|26000)[0-9A-Z]{5}$/.test(String(code));

/**
 * PostgreSQL's CancelRequest. Without it, a statement that waits for a lock would wait there for as long as the
 * lock is held, each with a backend of its own, and take effect when nobody reckons with it.
 */
function cancel({ host, port, processID, secretKey }: PgClient): void {
  if (host === undefined || port === undefined) return;
  if (typeof processID !== 'number' || typeof secretKey !== 'number') return;
  const packet = Buffer.alloc(16);
  [16, 80_877_102, processID, secretKey].forEach((number, i) => packet.writeInt32BE(number | 0, i * 4));
  const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
  socket.on('error', ignore);
  socket.setTimeout(1_000, () => socket.destroy());
  // The other side ends it when it has done so. PgBouncer forgets the request of somebody who has gone.
  socket.write(packet);
}
