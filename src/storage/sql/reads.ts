import { setImmediate } from 'node:timers';
import type { Attempts } from './attempts.js';
import type { Dialect } from './dialects/dialect.js';
import type { Row, Value } from './port.js';
import { BATCH } from './statements.js';

/** Somebody who waits for a row. */
interface Waiter {
  readonly handle: string;
  resolve(row: Row | undefined): void;
  reject(error: unknown): void;
}

/**
 * Rows by their handles. What is asked for while the event loop turns once goes out as one statement: to send a
 * statement and to hear the answer is most of what reading a session costs a busy process. Nobody waits for it, as the
 * event loop would not have got to the answer before.
 */
export class Reads {
  private waiting: Waiter[] = [];

  constructor(
    private readonly attempts: Attempts,
    private readonly dialect: Dialect,
    private readonly now: () => number,
  ) {}

  read(handle: string): Promise<Row | undefined> {
    return new Promise((resolve, reject) => {
      if (this.waiting.push({ handle, resolve, reject }) === 1) setImmediate(() => this.send());
      else if (this.waiting.length === BATCH) this.send();
    });
  }

  private send(): void {
    const { waiting } = this;
    if (waiting.length === 0) return;
    this.waiting = [];
    const { read, readMany } = this.dialect.statements;
    const now = this.now();
    const run =
      waiting.length === 1
        ? this.attempts.run(read, { handle: waiting[0].handle, now })
        : this.attempts.run(readMany, { handles: this.handlesOf(waiting), now });
    Promise.resolve(run).then(
      ({ rows }) => {
        const found = new Map(rows.map((row) => [row['handle'], row]));
        for (const { handle, resolve } of waiting) resolve(found.get(handle));
      },
      (error: unknown) => {
        for (const { reject } of waiting) reject(error);
      },
    );
  }

  private handlesOf(waiting: readonly Waiter[]): Value {
    return this.dialect.handlesValue([...new Set(waiting.map(({ handle }) => handle))]);
  }
}
