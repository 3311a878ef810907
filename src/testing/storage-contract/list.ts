import type { SessionRecord } from '../../storage/record.js';
import { runner } from '../runner.js';
import { given, handlesOf, HOUR, memberOf, purge, times, type StorageBench } from './bench.js';

const { describe, expect, it } = runner;

/** More pages than any list here has: a cursor that leads in a circle fails. */
const MAX_PAGES = 10_000;

/** All sessions, page by page. */
export function describeList(bench: StorageBench): void {
  /** Every record by its handle, and the length of each page; `between` runs after each page but the last. */
  async function listed(limit: number, between: (page: number) => unknown = () => undefined) {
    const records = new Map<string, SessionRecord>();
    const lengths: number[] = [];
    let cursor: string | undefined;
    do {
      const page = await memberOf(bench.storage, 'list')({ limit, cursor });
      for (const record of page.records) records.set(record.handle, record);
      cursor = page.cursor;
      expect(cursor === undefined ? 'string' : typeof cursor).toBe('string');
      expect(lengths.push(page.records.length)).toBeLessThanOrEqual(MAX_PAGES);
      if (cursor !== undefined) await between(lengths.length - 1);
    } while (cursor !== undefined);
    return { records: [...records.values()], lengths };
  }

  describe('the list', () => {
    it('of an empty storage is empty', async () => {
      expect((await listed(10)).records).toEqual([]);
    });

    it('has every session, whole, of users and visitors', async () => {
      const one = await given(bench, { userId: 'ada', ttl: 9_000, client: '"phone"', authenticatedAt: 1 });
      const two = await given(bench, { data: {} });
      const { records } = await listed(10);
      expect(records.length).toBe(2);
      for (const record of [one, two]) {
        expect(records.find(({ handle }) => handle === record.handle)).toEqual(record);
      }
    });

    it('comes in pages of about the limit, which together have every session', async () => {
      const records = await Promise.all(times(60, () => given(bench)));
      for (const limit of [1, 7, 60, 500]) {
        const list = await listed(limit);
        expect(handlesOf(list.records)).toEqual(handlesOf(records));
        if (limit <= 7) expect(Math.max(...list.lengths)).toBeLessThanOrEqual(30);
      }
    });

    it('has no session that was destroyed or has expired (S25, S26)', async () => {
      const expiresAt = bench.clock.now() + bench.clock.short;
      await given(bench, { expiresAt });
      const destroyed = await given(bench);
      const live = await given(bench);
      await bench.storage.destroy(destroyed.handle);
      await bench.clock.at(expiresAt, async () => {
        expect(handlesOf((await listed(1)).records)).toEqual([live.handle]);
      });
      await purge(bench);
      expect(handlesOf((await listed(1)).records)).toEqual([live.handle]);
    });

    it('has every session that is there all the while, whatever comes, goes and changes between pages', async () => {
      const staying = await Promise.all(times(40, () => given(bench)));
      const going = await Promise.all(times(20, () => given(bench)));
      const { records } = await listed(5, async (page) => {
        const { handle } = staying[page % 40];
        await bench.storage.update(handle, { touchedAt: 1, expiresAt: bench.clock.now() + 2 * HOUR });
        await bench.storage.update(staying[(page * 7) % 40].handle, { userId: `user${page}` });
        await bench.storage.destroy(going[page % 20].handle);
        if (page < 100) await given(bench);
      });
      const found = new Set(handlesOf(records));
      expect(handlesOf(staying).filter((handle) => !found.has(handle))).toEqual([]);
    });
  });
}
