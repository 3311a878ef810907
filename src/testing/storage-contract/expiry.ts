import { runner } from '../runner.js';
import type { SessionChange } from '../../storage/session-storage.js';
import {
  atOnce,
  expectCount,
  expectUser,
  given,
  HOUR,
  newRecord,
  purge,
  type StorageBench,
} from './bench.js';

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
      const { handle, proof, expiresAt } = await given(bench, { expiresAt: soon(), userId: 'ada' });
      await bench.clock.at(expiresAt, async () => {
        expect(await bench.storage.read(handle)).toBeUndefined();
        await expectUser(bench, 'ada', []);
      });
      const changes: SessionChange[] = [
        { expiresAt: bench.clock.now() + HOUR, touchedAt: 1 },
        { set: { visits: '2' }, expected: { proof, userId: 'ada' } },
        { set: { visits: '2' }, expected: { userId: 'bob' } },
        { userId: 'bob' },
      ];
      for (const change of changes) expect(await bench.storage.update(handle, change)).toBe('gone');
      expect(await bench.storage.read(handle)).toBeUndefined();
      await expectUser(bench, 'bob', []);
      expect(await bench.storage.destroy(handle)).toBe(false);
      expect(await bench.storage.destroy(handle, { userId: 'ada' })).toBe(false);
    });

    it('does not end the others with it', async () => {
      const { expiresAt } = await given(bench, { expiresAt: soon() });
      const other = await given(bench, { expiresAt: expiresAt + HOUR });
      await bench.clock.at(expiresAt, async () => {
        expect(await bench.storage.read(other.handle)).toEqual(other);
      });
    });

    it('gives the handle of an expired session to a new one, without anything of the old (S7, S25)', async () => {
      const rest = { userId: 'ada', ttl: 5_000, client: '"old"', data: { old: '1' } };
      const old = await given(bench, { expiresAt: soon(), ...rest });
      await bench.clock.at(old.expiresAt, async () => {
        expect(await bench.storage.read(old.handle)).toBeUndefined();
      });
      const next = newRecord(bench.clock, { handle: old.handle, data: { fresh: '1' } });
      expect(await bench.storage.create(next)).toBe(true);
      expect(await bench.storage.read(next.handle)).toEqual(next);
      await expectUser(bench, 'ada', []);
      await expectCount(bench, 1);
      await purge(bench);
      expect(await bench.storage.read(next.handle)).toEqual(next);
    });

    it('moves with a touch (S23)', async () => {
      const record = await given(bench, { expiresAt: soon() });
      const touch = { touchedAt: record.touchedAt + 1, expiresAt: record.expiresAt + HOUR };
      expect(await bench.storage.update(record.handle, touch)).toBe('ok');
      await bench.clock.at(record.expiresAt, async () => {
        expect(await bench.storage.read(record.handle)).toEqual({ ...record, ...touch });
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
        ttl: HOUR,
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
      const touch = { expiresAt: expiresAt + HOUR };
      const [first, , last] = await atOnce<unknown>(
        () => bench.storage.update(handle, touch),
        () => purge(bench),
        () => bench.storage.update(handle, touch),
      );
      expect([first, last]).toEqual(['gone', 'gone']);
      expect(await bench.storage.read(handle)).toBeUndefined();
    });

    it('leaves no record in the end, purged or not (S52)', async () => {
      const { expiresAt } = await given(bench, { expiresAt: soon() });
      await given(bench, { expiresAt });
      await bench.clock.at(expiresAt, async () => {
        expect(await purge(bench, 10)).toBeLessThanOrEqual(10);
        await expectCount(bench, 0);
      });
    });
  });
}
