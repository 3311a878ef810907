import { setTimeout as sleep } from 'node:timers/promises';
import { type Awaitable, isThenable } from '../../awaitable.js';
import type { Dialect, SqlError } from './dialects/dialect.js';
import type { Result, SqlPort, Statement, Value } from './port.js';
import { compile, valuesFor } from './statements.js';

/** Milliseconds before a second attempt, twice as much before each further one, and at most this much. */
const FIRST_PAUSE = 2;
const LONGEST_PAUSE = 50;

/** What a call may take at most that is not for a request, in command timeouts. */
const PATIENCE = 10;

const COMMIT = compile('COMMIT');
const ROLLBACK = compile('ROLLBACK');

type Values = Readonly<Record<string, Value>>;

/** Runs one statement of a transaction. */
export type Step = (statement: Statement, values: Values) => Awaitable<Result>;

/**
 * Statements within their time. One that the database undid, as the victim of a deadlock or because a file was
 * busy, is tried again; one whose connection was lost is not, as it may have had its effect.
 */
export class Attempts {
  constructor(
    private readonly port: SqlPort,
    private readonly dialect: Dialect,
    readonly timeout: number,
  ) {}

  get patient(): number {
    return this.timeout * PATIENCE;
  }

  /** Answers at once where the driver does. */
  run(statement: Statement, values: Values, timeout = this.timeout): Awaitable<Result> {
    const list = valuesFor(statement, values);
    const started = performance.now();
    try {
      const result = this.port.run(statement, list, timeout);
      if (!isThenable(result)) return result;
      return (result as Promise<Result>).catch((error: SqlError) =>
        this.again(error, (left) => this.port.run(statement, list, left), started, timeout),
      );
    } catch (error) {
      // Who waits for a promise is not met by a throw: it would end the process.
      if (!this.port.synchronous) return Promise.reject(error as Error);
      if (!this.dialect.isTransient(error as SqlError)) throw error;
      return this.again(error as SqlError, (left) => this.port.run(statement, list, left), started, timeout);
    }
  }

  /**
   * Runs `work` on one connection between `begin` and a commit; all of it again if the database undid it. Without
   * `begin` there is no transaction.
   */
  async transaction<T>(
    begin: readonly Statement[] | undefined,
    work: (step: Step) => Awaitable<T>,
  ): Promise<T> {
    const { port } = this;
    if (!begin || !port.pinned) return work((statement, values) => this.run(statement, values, this.patient));
    const started = performance.now();
    const attempt = (left: number) =>
      port.pinned!(async (run) => {
        const end = performance.now() + left;
        const step: Step = (statement, values) =>
          run(statement, valuesFor(statement, values), Math.max(1, end - performance.now()));
        for (const statement of begin) await step(statement, {});
        try {
          const result = await work(step);
          await step(COMMIT, {});
          return result;
        } catch (error) {
          // Where that fails too, the connection is lost, and the transaction with it: the first error says more.
          await Promise.resolve(step(ROLLBACK, {})).catch(() => undefined);
          throw error;
        }
      }, left);
    return attempt(this.patient).catch((error: SqlError) =>
      this.again(error, attempt, started, this.patient),
    );
  }

  private async again<T>(
    failure: SqlError,
    attempt: (left: number) => Awaitable<T>,
    started: number,
    timeout: number,
  ): Promise<T> {
    let error = failure;
    for (
      let pause = FIRST_PAUSE;
      this.dialect.isTransient(error);
      pause = Math.min(pause * 2, LONGEST_PAUSE)
    ) {
      await sleep(pause * (0.5 + Math.random()));
      const left = timeout - (performance.now() - started);
      if (left <= 0) break;
      try {
        return await attempt(left);
      } catch (next) {
        error = next as SqlError;
      }
    }
    throw error;
  }
}
