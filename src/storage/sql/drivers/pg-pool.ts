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
    return new Promise((resolve, reject) => {
      let connected: { readonly client: PgClient; readonly release: Release } | undefined;
      let over = false;
      const timer = setTimeout(() => {
        over = true;
        if (!connected) return reject(noConnection(timeout));
        drop(connected.client, connected.release);
        reject(noAnswer(timeout));
      }, timeout);
      this.pool.connect((error, client: PgClient, release: Release) => {
        if (over) return client && release();
        if (error) {
          clearTimeout(timer);
          return reject(error);
        }
        connected = { client, release };
        client.on('error', ignore);
        client.query(this.queryOf(statement, values), (failure, result) => {
          if (over) return;
          clearTimeout(timer);
          client.removeListener('error', ignore);
          release(failure !== null && isFatal(failure));
          if (failure) reject(failure);
          else resolve(resultOf(result));
        });
      });
    });
  }

  pinned<T>(work: (run: Run) => Promise<T>, timeout: number): Promise<T> {
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
        client.on('error', ignore);
        let broken = false;
        const run: Run = (statement, values, left) =>
          new Promise((done, failed) => {
            const late = setTimeout(() => {
              broken = true;
              failed(noAnswer(left));
            }, left);
            client.query(this.queryOf(statement, values), (failure, result) => {
              clearTimeout(late);
              if (!failure) return done(resultOf(result));
              broken ||= isFatal(failure);
              failed(failure);
            });
          });
        void work(run)
          .then(resolve, reject)
          .finally(() => {
            if (broken) return drop(client, release);
            client.removeListener('error', ignore);
            release();
          });
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

/** Whether the connection is of no more use: anything but an error that the server answered a statement with. */
const isFatal = (error: SqlError & { readonly severity?: string }): boolean =>
  !/^(?!57P|08)[0-9A-Z]{5}$/.test(String(error.code)) || error.severity !== 'ERROR';

/** Takes a connection from the pool, and tells the server to stop what it does there. */
function drop(client: PgClient, release: Release): void {
  cancel(client);
  // The listener stays: what the connection still has to say is nobody's concern.
  release(true);
}

/**
 * PostgreSQL's CancelRequest. Without it, a statement that waits for a lock would wait there for as long as the
 * lock is held, each with a backend of its own.
 */
function cancel({ host, port, processID, secretKey }: PgClient): void {
  if (host === undefined || port === undefined) return;
  if (typeof processID !== 'number' || typeof secretKey !== 'number') return;
  const packet = Buffer.alloc(16);
  [16, 80_877_102, processID, secretKey].forEach((number, i) => packet.writeInt32BE(number | 0, i * 4));
  const socket = host.startsWith('/') ? connect(`${host}/.s.PGSQL.${port}`) : connect(port, host);
  socket.on('error', ignore);
  socket.setTimeout(1_000, () => socket.destroy());
  socket.end(packet);
}
