import { createHash } from 'node:crypto';
import type { RedisMaster, RedisPort } from './port.js';

/** Keys looked at in one step: less than a millisecond's work for the server. */
const MAX_STEP = 1_000;

/** Where the next page starts: a digest of the masters, which of them, and the cursor there. */
const CURSOR = /^([\w-]{8})\.(\d{1,4})\.(\d{1,20})$/;

/** How many keys match. One may count twice while Redis shrinks its tables. */
export async function countKeys(port: RedisPort, pattern: string): Promise<number> {
  let count = 0;
  for (const master of await port.masters()) {
    let cursor = '0';
    do {
      const { keys, next } = await step(master, pattern, cursor, MAX_STEP);
      count += keys.length;
      cursor = next;
    } while (cursor !== '0');
  }
  return count;
}

/**
 * About `limit` of the keys that match, and where to go on. A cursor of other masters, as another one has taken over
 * since, leads to the beginning: what it says of the keys holds for those masters only, and none must be missed.
 */
export async function pageOfKeys(
  port: RedisPort,
  pattern: string,
  limit: number,
  from: string | undefined,
): Promise<{ keys: ReadonlySet<string>; cursor: string | undefined }> {
  const masters = [...(await port.masters())].sort((a, b) => (a.address < b.address ? -1 : 1));
  const digest = digestOf(masters);
  const [, of, index, at] = CURSOR.exec(from ?? '') ?? [];
  let [master, cursor] = of === digest ? [Number(index), at] : [0, '0'];
  const keys = new Set<string>();
  let seen = 0;
  while (master < masters.length) {
    // As many keys as the rest should take, going by what was found so far; but never more than have been seen by
    // then, as few tell little: a page must not become much longer than its limit.
    const rest = limit - keys.size;
    const guess = Math.ceil((rest * seen) / Math.max(1, keys.size));
    const count = Math.min(Math.max(1, rest, Math.min(guess, seen)), MAX_STEP);
    const found = await step(masters[master], pattern, cursor, count);
    seen += count;
    for (const key of found.keys) keys.add(key);
    cursor = found.next;
    if (cursor === '0') master++;
    if (keys.size >= limit) break;
  }
  return { keys, cursor: master < masters.length ? `${digest}.${master}.${cursor}` : undefined };
}

async function step(master: RedisMaster, pattern: string, cursor: string, count: number) {
  const reply = await master.send('scan', [cursor, 'MATCH', pattern, 'COUNT', String(count)]);
  const [next, keys] = reply as [string, string[]];
  return { next: String(next), keys };
}

function digestOf(masters: readonly RedisMaster[]): string {
  const addresses = masters.map(({ address }) => address).join(' ');
  return createHash('sha256').update(addresses).digest('base64url').slice(0, 8);
}
