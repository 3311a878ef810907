import type { RedisKeys } from './keys.js';
import type { RedisPort } from './port.js';
import { listHandle, unlistHandle } from './handle-set-scripts.js';

/**
 * Which sessions a user has: a sorted set of handles by the time until when they are listed.
 *
 * It is in another slot than the sessions, so that no script writes both. Therefore a session is listed **before**
 * its record names the user, for longer than it lives, and the record says until when: whatever fails in between,
 * no live session of a user is missing. An entry too many does no harm, since the record has the last word; it goes
 * at its time.
 */
export class UserIndex {
  constructor(
    private readonly port: RedisPort,
    private readonly keys: RedisKeys,
  ) {}

  /**
   * Until when a session with this deadline is to be listed: a quarter of its time longer, so that not each touch
   * has to write here too.
   */
  static until(deadline: number): number {
    return Math.ceil(deadline + Math.max(0, deadline - Date.now()) / 4);
  }

  async add(userId: string, handle: string, until: number): Promise<void> {
    await listHandle.run(this.port, [this.keys.user(userId)], [handle, String(until), '0', 'GT']);
  }

  /** Removes a session that ended, unless it was listed anew since. */
  async remove(userId: string, handle: string, until: string): Promise<void> {
    await unlistHandle.run(this.port, [this.keys.user(userId)], [handle, until, '0']);
  }

  async handles(userId: string): Promise<readonly string[]> {
    const key = this.keys.user(userId);
    return (await this.port.send(key, 'zrange', [key, '0', '-1'])) as readonly string[];
  }
}
