import { runner } from '../runner.js';
import { atOnce, given, newHandle, newRecord, tally, times, type StorageBench } from './storage-bench.js';

const { describe, expect, it } = runner;

export function describeRecords(bench: StorageBench): void {
  describe('records', () => {
    it('gives back exactly what was stored, times to the millisecond (S25)', async () => {
      const record = await given(bench, {
        userId: 'ada',
        ttl: 1_234_567,
        authenticatedAt: bench.clock.now() - 1,
        createdAt: bench.clock.now() - 86_399_999,
        data: { cart: '{"items":[1,2,3]}', visits: '7' },
      });
      expect(await bench.storage.read(record.handle)).toEqual(record);
    });

    it('gives back a record without its optional fields without them', async () => {
      const record = await given(bench, { data: {} });
      const found = await bench.storage.read(record.handle);
      expect(found).toEqual(record);
      expect([found?.userId, found?.ttl, found?.authenticatedAt]).toEqual([undefined, undefined, undefined]);
    });

    it('knows nothing of a handle that was never stored (S3)', async () => {
      await given(bench);
      const handle = newHandle();
      expect(await bench.storage.read(handle)).toBeUndefined();
      expect(await bench.storage.destroy(handle)).toBe(false);
      expect(await bench.storage.update(handle, { set: { a: '1' } })).toBe('gone');
      expect(await bench.storage.read(handle)).toBeUndefined();
      expect(await bench.storage.count()).toBe(1);
    });

    it('never overwrites a taken handle (S7)', async () => {
      const record = await given(bench, { userId: 'ada', data: { mine: '1', shared: '1' } });
      const other = newRecord(bench.clock, {
        handle: record.handle,
        userId: 'bob',
        data: { theirs: '2', shared: '2' },
      });
      expect(await bench.storage.create(other)).toBe(false);
      expect(await bench.storage.read(record.handle)).toEqual(record);
      expect(await bench.storage.byUser('bob')).toEqual([]);
      expect(await bench.storage.count()).toBe(1);
    });

    it('lets one of several win that create the same handle at once, whole (S7)', async () => {
      const handle = newHandle();
      const records = times(8, (i) => newRecord(bench.clock, { handle, data: { [`key${i}`]: String(i) } }));
      const answers = await atOnce(...records.map((record) => () => bench.storage.create(record)));
      expect(tally(answers)).toEqual({ true: 1, false: 7 });
      expect(await bench.storage.read(handle)).toEqual(records[answers.indexOf(true)]);
    });

    it('tells handles apart that differ in letter case only', async () => {
      const upper = await given(bench, { handle: 'ABCDEFGHIJKLMNOPQRSTUV', data: { which: '"upper"' } });
      const lower = await given(bench, { handle: 'abcdefghijklmnopqrstuv', data: { which: '"lower"' } });
      expect(await bench.storage.read(upper.handle)).toEqual(upper);
      expect(await bench.storage.read(lower.handle)).toEqual(lower);
    });

    it('changes nothing by reading', async () => {
      const record = await given(bench);
      for (let i = 0; i < 3; i++) await bench.storage.read(record.handle);
      await bench.storage.byUser('ada');
      await bench.storage.count();
      expect(await bench.storage.read(record.handle)).toEqual(record);
    });

    it('never changes a record it has handed out', async () => {
      const record = await given(bench, { data: { kept: '1', changed: '1', removed: '1' }, userId: 'ada' });
      const read = await bench.storage.read(record.handle);
      const [listed] = await bench.storage.byUser('ada');
      await bench.storage.update(record.handle, {
        set: { changed: '2', added: '2' },
        remove: ['removed'],
        userId: 'bob',
        expiresAt: record.expiresAt + 1,
      });
      expect(read).toEqual(record);
      expect(listed).toEqual(record);
      await bench.storage.destroy(record.handle);
      expect(read).toEqual(record);
    });

    it('destroys once, for good (S26)', async () => {
      const record = await given(bench, { userId: 'ada' });
      expect(await bench.storage.destroy(record.handle)).toBe(true);
      expect(await bench.storage.read(record.handle)).toBeUndefined();
      expect(await bench.storage.destroy(record.handle)).toBe(false);
      expect(await bench.storage.byUser('ada')).toEqual([]);
      expect(await bench.storage.count()).toBe(0);
    });

    it('says so to one only, when several destroy a session at once', async () => {
      const record = await given(bench);
      const answers = await atOnce(...times(5, () => () => bench.storage.destroy(record.handle)));
      expect(tally(answers)).toEqual({ true: 1, false: 4 });
    });

    it('destroys no other session', async () => {
      const record = await given(bench);
      const other = await given(bench);
      await bench.storage.destroy(record.handle);
      expect(await bench.storage.read(other.handle)).toEqual(other);
    });

    it('takes a destroyed handle again, without anything of the old session (S26)', async () => {
      const record = await given(bench, { userId: 'ada', ttl: 5_000, data: { old: '1' } });
      await bench.storage.destroy(record.handle);
      const next = await given(bench, { handle: record.handle, data: { fresh: '1' } });
      expect(await bench.storage.read(next.handle)).toEqual(next);
      expect(await bench.storage.byUser('ada')).toEqual([]);
    });

    it('counts its records', async () => {
      expect(await bench.storage.count()).toBe(0);
      const records = await Promise.all(times(5, () => given(bench)));
      expect(await bench.storage.count()).toBe(5);
      await bench.storage.update(records[0].handle, { set: { a: '1' } });
      await bench.storage.destroy(records[1].handle);
      expect(await bench.storage.count()).toBe(4);
    });

    it('keeps nothing of a thousand sessions that came and went (S52)', async () => {
      const records = times(1_000, () => newRecord(bench.clock, { userId: 'ada' }));
      await Promise.all(records.map((record) => bench.storage.create(record)));
      await Promise.all(records.map((record) => bench.storage.destroy(record.handle)));
      expect(await bench.storage.count()).toBe(0);
      expect(await bench.storage.byUser('ada')).toEqual([]);
    });
  });
}
