import { setImmediate as turn } from 'node:timers/promises';
import { after, type Awaitable } from '../../awaitable.js';
import type { Attempts } from './attempts.js';
import type { Dialect } from './dialects/dialect.js';
import type { Row, Statement } from './port.js';
import { timeOf } from './record-row.js';
import { BATCH, compile } from './statements.js';

/** A batch that was purged. */
interface Batch {
  /** Those that were removed. */
  readonly removed: readonly Row[];
  /** Whether nothing more is due. */
  readonly last: boolean;
}

/**
 * Removes expired records in batches, each a short transaction of its own, so that nobody waits long for one. What
 * is due and turns out to live is filed under its new deadline.
 */
export class Purge {
  private readonly begin: readonly Statement[] | undefined;

  constructor(
    private readonly attempts: Attempts,
    private readonly dialect: Dialect,
  ) {
    this.begin = dialect.beginPurge?.map((text) => compile(text));
  }

  /** Removes at most `limit` records and tells of each. */
  async run(limit: number, now: number, tell: (row: Row) => void): Promise<number> {
    let count = 0;
    while (count < limit) {
      const { removed, last } = await this.batch(Math.min(BATCH, limit - count), now);
      count += removed.length;
      removed.forEach(tell);
      if (last) break;
      // A driver that answers at once would keep requests waiting till the end.
      await turn();
    }
    await this.attempts.run(this.dialect.statements.purgeLeases, { now }, this.attempts.patient);
    return count;
  }

  private batch(limit: number, now: number): Promise<Batch> {
    const { due, removeDue, refileDue } = this.dialect.statements;
    return this.attempts.transaction(this.begin, (step) =>
      after(step(due, { now, limit }), ({ rows }): Awaitable<Batch> => {
        const dead = rows.filter((row) => timeOf(row['expires_at']) <= now).slice(0, limit);
        const alive = rows.filter((row) => timeOf(row['expires_at']) > now);
        const handles = (these: readonly Row[]) => ({
          now,
          handles: this.dialect.handlesValue(these.map((row) => String(row['handle']))),
        });
        const refiled = alive.length > 0 ? step(refileDue, handles(alive)) : undefined;
        return after(refiled, () => {
          if (dead.length === 0) return { removed: [], last: rows.length < limit };
          return after(step(removeDue, handles(dead)), (result) => ({
            removed: this.dialect.tellsRemoved ? result.rows : dead,
            last: rows.length < limit,
          }));
        });
      }),
    );
  }
}
