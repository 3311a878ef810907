import { runner } from '../runner.js';
import { atOnce, given, newRecord, type StorageBench } from './storage-bench.js';

const { describe, expect, it } = runner;

export function describeExpiry(bench: StorageBench): void {
  const soon = () => bench.clock.now() + bench.clock.short;

  describe('expiry', () => {
    it('ends a session at its deadline, not later (S21, S25)', async () => {
      const record = await given(bench, { expiresAt: soon() });
      if (bench.clock.kind === 'injected') {
        await bench.clock.at(record.expiresAt - 1, async () => {
          expect(await bench.storage.read(record.handle)).toEqual(record);
        });
      }
      await bench.clock.at(record.expiresAt, async () => {
        expect(await bench.storage.read(record.handle)).toBeUndefined();
      });
    });

    it('answers for an expired session that was not purged as for none (S25, S27)', async () => {
      const { handle, expiresAt } = await given(bench, { expiresAt: soon(), userId: 'ada' });
      await bench.clock.at(expiresAt, async () => {
        expect(await bench.storage.read(handle)).toBeUndefined();
        expect(await bench.storage.byUser('ada')).toEqual([]);
      });
      const later = bench.clock.now() + 3_600_000;
      expect(await bench.storage.update(handle, { expiresAt: later, touchedAt: 1 })).toBe('gone');
      expect(await bench.storage.update(handle, { set: { visits: '2' }, expectedVersion: 1 })).toBe('gone');
      expect(await bench.storage.update(handle, { userId: 'bob' })).toBe('gone');
      expect(await bench.storage.read(handle)).toBeUndefined();
      expect(await bench.storage.byUser('bob')).toEqual([]);
      expect(await bench.storage.destroy(handle)).toBe(false);
    });

    it('does not end the others with it', async () => {
      const { expiresAt } = await given(bench, { expiresAt: soon() });
      const other = await given(bench, { expiresAt: expiresAt + 3_600_000 });
      await bench.clock.at(expiresAt, async () => {
        expect(await bench.storage.read(other.handle)).toEqual(other);
      });
    });

    it('gives the handle of an expired session to a new one, without anything of the old (S7, S25)', async () => {
      const old = await given(bench, { expiresAt: soon(), userId: 'ada', ttl: 5_000, data: { old: '1' } });
      await bench.clock.at(old.expiresAt, async () => {
        expect(await bench.storage.read(old.handle)).toBeUndefined();
      });
      const next = newRecord(bench.clock, { handle: old.handle, data: { fresh: '1' } });
      expect(await bench.storage.create(next)).toBe(true);
      expect(await bench.storage.read(next.handle)).toEqual(next);
      expect(await bench.storage.byUser('ada')).toEqual([]);
      expect(await bench.storage.count()).toBe(1);
      await bench.storage.purgeExpired(100);
      expect(await bench.storage.read(next.handle)).toEqual(next);
    });

    it('moves with a touch (S23)', async () => {
      const record = await given(bench, { expiresAt: soon() });
      const touch = { touchedAt: record.touchedAt + 1, expiresAt: record.expiresAt + 3_600_000 };
      expect(await bench.storage.update(record.handle, touch)).toBe('ok');
      await bench.clock.at(record.expiresAt, async () => {
        expect(await bench.storage.read(record.handle)).toEqual({ ...record, ...touch, version: 2 });
      });
    });

    it('can come earlier too', async () => {
      const { handle } = await given(bench);
      const expiresAt = soon();
      expect(await bench.storage.update(handle, { expiresAt })).toBe('ok');
      await bench.clock.at(expiresAt, async () => {
        expect(await bench.storage.read(handle)).toBeUndefined();
      });
    });

    it('is not moved by an update that does not name it (S20)', async () => {
      const { handle, expiresAt } = await given(bench, { expiresAt: soon() });
      await bench.storage.update(handle, {
        set: { visits: '2' },
        touchedAt: bench.clock.now(),
        ttl: 3_600_000,
      });
      await bench.clock.at(expiresAt, async () => {
        expect(await bench.storage.read(handle)).toBeUndefined();
      });
    });

    it('is final: a touch that comes at the deadline, with a purge or not, is late (S21, S27)', async () => {
      const { handle, expiresAt } = await given(bench, { expiresAt: soon() });
      await bench.clock.at(expiresAt, async () => {
        expect(await bench.storage.read(handle)).toBeUndefined();
      });
      const touch = { expiresAt: expiresAt + 3_600_000 };
      const [first, , last] = await atOnce<unknown>(
        () => bench.storage.update(handle, touch),
        () => bench.storage.purgeExpired(10),
        () => bench.storage.update(handle, touch),
      );
      expect([first, last]).toEqual(['gone', 'gone']);
      expect(await bench.storage.read(handle)).toBeUndefined();
    });

    it('leaves no record in the end, purged or not (S52)', async () => {
      const { expiresAt } = await given(bench, { expiresAt: soon() });
      await given(bench, { expiresAt });
      await bench.clock.at(expiresAt, async () => {
        expect(await bench.storage.purgeExpired(10)).toBeLessThanOrEqual(10);
        expect(await bench.storage.count()).toBe(0);
      });
    });
  });
}
