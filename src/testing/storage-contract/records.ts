import { runner } from '../runner.js';
import {
  atOnce,
  expectCount,
  expectUser,
  given,
  newHandle,
  newRecord,
  type StorageBench,
  tally,
  times,
} from './bench.js';

const { describe, expect, it } = runner;

export function describeRecords(bench: StorageBench): void {
  const read = (handle: string) => bench.storage.read(handle);

  describe('records', () => {
    it('come back exactly as they were stored, times to the millisecond (S25)', async () => {
      const record = await given(bench, {
        userId: 'ada',
        ttl: 1_234_567,
        authenticatedAt: bench.clock.now() - 1,
        createdAt: bench.clock.now() - 86_399_999,
        client: '{"ip":"2001:db8::1","userAgent":"Mozilla/5.0 (\\"X11\\")"}',
        data: { cart: '{"items":[1,2,3]}', visits: '7' },
      });
      expect(await read(record.handle)).toEqual(record);
    });

    it('without optional fields come back without them', async () => {
      const record = await given(bench, { data: {} });
      const found = await read(record.handle);
      expect(found).toEqual(record);
      const { userId, ttl, authenticatedAt, client } = found!;
      expect([userId, ttl, authenticatedAt, client]).toEqual([undefined, undefined, undefined, undefined]);
    });

    it('that were never stored are not there (S3)', async () => {
      await given(bench);
      const handle = newHandle();
      expect(await read(handle)).toBeUndefined();
      expect(await bench.storage.destroy(handle)).toBe(false);
      expect(await bench.storage.update(handle, { set: { a: '1' } })).toBe('gone');
      expect(await read(handle)).toBeUndefined();
      await expectCount(bench, 1);
    });

    it('are never overwritten by another of the same handle (S7)', async () => {
      const record = await given(bench, { userId: 'ada', data: { mine: '1', shared: '1' } });
      const other = newRecord(bench.clock, {
        handle: record.handle,
        userId: 'bob',
        client: '"other"',
        data: { theirs: '2', shared: '2' },
      });
      expect(await bench.storage.create(other)).toBe(false);
      expect(await read(record.handle)).toEqual(record);
      await expectUser(bench, 'bob', []);
      await expectCount(bench, 1);
    });

    it('of one handle that are created at once have one winner, which is stored whole (S7)', async () => {
      const handle = newHandle();
      const records = times(8, (i) => newRecord(bench.clock, { handle, data: { [`key${i}`]: String(i) } }));
      const answers = await atOnce(...records.map((record) => () => bench.storage.create(record)));
      expect(tally(answers)).toEqual({ true: 1, false: 7 });
      expect(await read(handle)).toEqual(records[answers.indexOf(true)]);
    });

    it('of handles that differ in letter case only are two', async () => {
      const upper = await given(bench, { handle: 'ABCDEFGHIJKLMNOPQRSTUV', data: { which: '"upper"' } });
      const lower = await given(bench, { handle: 'abcdefghijklmnopqrstuv', data: { which: '"lower"' } });
      expect(await read(upper.handle)).toEqual(upper);
      expect(await read(lower.handle)).toEqual(lower);
    });

    it('are not changed by reading', async () => {
      const record = await given(bench);
      for (let i = 0; i < 3; i++) await read(record.handle);
      await expectUser(bench, 'ada', []);
      await expectCount(bench, 1);
      expect(await read(record.handle)).toEqual(record);
    });

    it('that were handed out never change', async () => {
      const record = await given(bench, { data: { kept: '1', changed: '1', removed: '1' }, userId: 'ada' });
      const found = await read(record.handle);
      const listed = await bench.storage.byUser?.('ada');
      await bench.storage.update(record.handle, {
        set: { changed: '2', added: '2' },
        remove: ['removed'],
        userId: 'bob',
        expiresAt: record.expiresAt + 1,
      });
      expect(found).toEqual(record);
      if (listed) expect(listed).toEqual([record]);
      await bench.storage.destroy(record.handle);
      expect(found).toEqual(record);
    });

    it('are destroyed once, for good (S26)', async () => {
      const record = await given(bench, { userId: 'ada' });
      expect(await bench.storage.destroy(record.handle)).toBe(true);
      expect(await read(record.handle)).toBeUndefined();
      expect(await bench.storage.destroy(record.handle)).toBe(false);
      await expectUser(bench, 'ada', []);
      await expectCount(bench, 0);
    });

    it('that several destroy at once are destroyed by one', async () => {
      const record = await given(bench);
      const answers = await atOnce(...times(5, () => () => bench.storage.destroy(record.handle)));
      expect(tally(answers)).toEqual({ true: 1, false: 4 });
    });

    it('are not destroyed with another', async () => {
      const record = await given(bench);
      const other = await given(bench);
      await bench.storage.destroy(record.handle);
      expect(await read(other.handle)).toEqual(other);
    });

    it('of a destroyed handle begin anew, without anything of the old session (S26)', async () => {
      const old = { userId: 'ada', ttl: 5_000, authenticatedAt: 1, client: '"old"', data: { old: '1' } };
      const record = await given(bench, old);
      await bench.storage.destroy(record.handle);
      const next = await given(bench, { handle: record.handle, data: { fresh: '1' } });
      expect(await read(next.handle)).toEqual(next);
      await expectUser(bench, 'ada', []);
    });

    it('that came and went leave nothing, a thousand of them (S52)', async () => {
      const records = times(1_000, () => newRecord(bench.clock, { userId: 'ada' }));
      await Promise.all(records.map((record) => bench.storage.create(record)));
      await Promise.all(records.map((record) => bench.storage.destroy(record.handle)));
      await expectCount(bench, 0);
      await expectUser(bench, 'ada', []);
    });
  });
}
