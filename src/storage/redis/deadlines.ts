import { DEADLINE_SETS, type RedisKeys } from './keys.js';
import type { RedisPort } from './port.js';
import { claimHandle, listHandle, unlistHandle } from './handle-set-scripts.js';
import { userOf } from './session-hash.js';
import { lookUpDeadline } from './session-scripts.js';

/** Milliseconds that an end nobody announced is kept for: with no purge at all, the sets stay bounded too. */
const KEPT = 86_400_000;

/** How many sessions are looked at together. */
const AT_ONCE = 100;

/**
 * Milliseconds that Redis keeps a session past its deadline, where its end is to be announced: for the purge, every
 * minute by default, to see the user.
 */
export const LINGER = 300_000;

/** A session that has expired. */
export interface Expired {
  readonly handle: string;
  /** Unknown if the session was looked at later than {@link LINGER} after its end. */
  readonly userId: string | undefined;
}

/**
 * When sessions end, for nodes that are to hear of it: Redis itself removes an expired session without a word. A
 * touch writes nothing here: a session that is found due is looked up, and put off to its deadline.
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

  /** Removes at most `limit` sessions that have expired; each is given to one caller only, whichever nodes ask. */
  async *expired(limit: number): AsyncGenerator<Expired> {
    let left = limit;
    for (let set = 0; set < DEADLINE_SETS; set++) {
      const key = this.keys.deadlines(set);
      while (left > 0) {
        const now = Date.now();
        const page = Math.min(left, AT_ONCE);
        const range = [key, '-inf', String(now), 'LIMIT', '0', String(page)];
        const due = (await this.port.send(key, 'zrangebyscore', range)) as string[];
        for (const found of await Promise.all(due.map((handle) => this.claim(key, handle, now)))) {
          if (!found) continue;
          left--;
          yield found;
        }
        if (due.length < page) break;
      }
      if (left <= 0) return;
    }
  }

  /** Of several callers, only one gets a session, which is why the look does not remove it yet. */
  private async claim(key: string, handle: string, now: number): Promise<Expired | undefined> {
    const session = [this.keys.session(handle)];
    const found = await lookUpDeadline.run(this.port, session, [String(now), '']);
    const [deadline, user] = typeof found === 'number' ? [] : found;
    const next = Number(deadline) > now ? deadline : '';
    if ((await claimHandle.run(this.port, [key], [handle, String(now), next])) !== 1) return undefined;
    if (user !== undefined) await lookUpDeadline.run(this.port, session, [String(now), '1']);
    return { handle, userId: user === undefined ? undefined : userOf(user) };
  }
}
