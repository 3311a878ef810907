import { describe, expect, it } from '@jest/globals';
import type { RedisMaster, RedisPort } from '../../../src/storage/redis/port.js';
import { countKeys, pageOfKeys } from '../../../src/storage/redis/session-scan.js';

/** Masters that have keys, of which those that start with `s` match; a cursor is the place in the list. */
function portOf(keysOf: Readonly<Record<string, readonly string[]>>) {
  const steps: string[] = [];
  const masters = Object.entries(keysOf).map(([address, keys]): RedisMaster => ({
    address,
    send: async (_command, [cursor, , , , count]) => {
      steps.push(`${address} ${cursor} ${count}`);
      const end = Number(cursor) + Number(count);
      const found = keys.slice(Number(cursor), end).filter((key) => key.startsWith('s'));
      return [end < keys.length ? String(end) : '0', found];
    },
  }));
  return { steps, port: { masters: async () => masters } as unknown as RedisPort };
}

const named = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

async function allPages(port: RedisPort, limit: number, from?: string) {
  const pages: string[][] = [];
  let cursor = from;
  do {
    const page = await pageOfKeys(port, 's*', limit, cursor);
    pages.push([...page.keys]);
    cursor = page.cursor;
  } while (cursor !== undefined && pages.length < 100);
  return pages;
}

describe('the scan for sessions', () => {
  const three = { 'a:1': named('s1-', 5), 'b:1': named('s2-', 5), 'c:1': named('s3-', 5) };

  it('goes through all masters in pages, each of about the limit', async () => {
    const { port } = portOf(three);
    const pages = await allPages(port, 4);
    expect(pages.length).toBeGreaterThan(2);
    for (const page of pages) expect(page.length).toBeLessThan(8);
    expect(pages.flat()).toEqual(Object.values(three).flat());
    expect(await countKeys(port, 's*')).toBe(15);
  });

  it('goes on with a cursor in whatever order a node knows the masters', async () => {
    const { keys, cursor } = await pageOfKeys(portOf(three).port, 's*', 7, undefined);
    const reversed = portOf(Object.fromEntries(Object.entries(three).toReversed()));
    const rest = (await allPages(reversed.port, 4, cursor)).flat();
    expect([...keys, ...rest]).toEqual(Object.values(three).flat());
  });

  it('begins anew where another master has taken over, rather than miss a key', async () => {
    const { cursor } = await pageOfKeys(portOf(three).port, 's*', 7, undefined);
    const { 'c:1': keys, ...others } = three;
    // The new one comes before those that were gone through.
    const failedOver = portOf({ ...others, 'a:0': keys });
    expect((await allPages(failedOver.port, 4, cursor)).flat().length).toBe(15);
  });

  it.each(['', '0', 'nonsense', '........', 'AAAAAAAA.9.9', `${'9'.repeat(8)}.0.${'9'.repeat(30)}`])(
    'begins with the first page where the cursor is none of its own: %p',
    async (cursor) => {
      expect((await allPages(portOf(three).port, 100, cursor)).flat().length).toBe(15);
    },
  );

  it('looks at more keys at a time where few are sessions, and at no more than a thousand', async () => {
    // One of a hundred.
    const keys = Array.from({ length: 100_000 }, (_, i) => (i % 100 === 50 ? `s${i}` : `other${i}`));
    const { port, steps } = portOf({ '': keys });
    const page = await pageOfKeys(port, 's*', 20, undefined);
    expect(page.keys.size).toBeGreaterThanOrEqual(20);
    expect(page.keys.size).toBeLessThan(30);
    expect(steps.length).toBeLessThan(12);
    expect(Math.max(...steps.map((step) => Number(step.split(' ')[2])))).toBeLessThanOrEqual(1_000);
    expect(await pageOfKeys(portOf({ '': named('other', 5_000) }).port, 's*', 20, undefined)).toEqual({
      keys: new Set(),
      cursor: undefined,
    });
  });
});
