import { DEADLINE_SETS, type RedisKeys } from './keys.js';
import type { RedisPort } from './port.js';
import { claimHandle, listHandle, unlistHandle } from './scripts.js';

/** Milliseconds that an end nobody announced is kept for: with no purge at all, the sets stay bounded too. */
const KEPT = 86_400_000;

/** How many sessions are looked at together. */
const AT_ONCE = 100;

/**
 * When sessions end, for nodes that are to hear of it: Redis itself removes an expired session without a word. A
 * touch writes nothing here; who finds a session due looks up its deadline and puts it off.
 */
export class Deadlines {
  constructor(
    private readonly port: RedisPort,
    private readonly keys: RedisKeys,
  ) {}

  /** Before the session exists, or once it ends earlier than it was to. */
  async add(handle: string, deadline: number): Promise<void> {
    const args = [handle, String(deadline), String(KEPT), 'LT'];
    await listHandle.run(this.port, [this.keys.deadlinesOf(handle)], args);
  }

  /** The session was ended, and did not expire. */
  async remove(handle: string): Promise<void> {
    await unlistHandle.run(this.port, [this.keys.deadlinesOf(handle)], [handle, '1e300', String(KEPT)]);
  }

  /**
   * Takes at most `limit` sessions that have expired, each for one caller only, whichever nodes ask.
   *
   * @param deadlineOf the session's deadline now; undefined if it is gone
   */
  async *expired(
    limit: number,
    deadlineOf: (handle: string) => Promise<number | undefined>,
  ): AsyncGenerator<string> {
    let left = limit;
    for (let set = 0; set < DEADLINE_SETS; set++) {
      const key = this.keys.deadlines(set);
      while (left > 0) {
        const now = String(Date.now());
        const page = String(Math.min(left, AT_ONCE));
        const range = [key, '-inf', now, 'LIMIT', '0', page];
        const due = (await this.port.send(key, 'zrangebyscore', range)) as string[];
        const claims = due.map(async (handle) => {
          const deadline = await deadlineOf(handle);
          const next = deadline !== undefined && deadline > Number(now) ? String(deadline) : '';
          return (await claimHandle.run(this.port, [key], [handle, now, next])) === 1;
        });
        const claimed = await Promise.all(claims);
        for (const [i, mine] of claimed.entries()) {
          if (!mine) continue;
          left--;
          yield due[i];
        }
        if (due.length < Number(page)) break;
      }
      if (left <= 0) return;
    }
  }
}
