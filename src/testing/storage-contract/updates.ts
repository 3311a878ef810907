import type { SessionChange } from '../../storage/session-storage.js';
import { runner } from '../runner.js';
import {
  expectCount,
  expectUser,
  frozen,
  given,
  HOUR,
  newProof,
  pairsOf,
  type StorageBench,
} from './bench.js';

const { describe, expect, it } = runner;

export function describeUpdates(bench: StorageBench): void {
  const read = (handle: string) => bench.storage.read(handle);
  const update = (handle: string, change: SessionChange) => bench.storage.update(handle, frozen(change));
  /** A session that has every field there is. */
  const whole = () =>
    given(bench, { userId: 'ada', ttl: 9_000, authenticatedAt: 1_234_567_890_123, client: '"phone"' });

  describe('updates', () => {
    it('set and remove the keys they name, and no others', async () => {
      const { handle } = await given(bench, { data: { kept: '1', changed: '1', removed: '1' } });
      const change = { set: { changed: '2', added: '"new"' }, remove: ['removed', 'neverThere'] };
      expect(await update(handle, change)).toBe('ok');
      expect(pairsOf((await read(handle))?.data)).toEqual([
        ['added', '"new"'],
        ['changed', '2'],
        ['kept', '1'],
      ]);
    });

    it('can remove every key, and set keys again', async () => {
      const { handle } = await given(bench, { data: { a: '1', b: '2' } });
      expect(await update(handle, { remove: ['a', 'b'] })).toBe('ok');
      expect(pairsOf((await read(handle))?.data)).toEqual([]);
      expect(await update(handle, { set: { a: '3' } })).toBe('ok');
      expect(pairsOf((await read(handle))?.data)).toEqual([['a', '3']]);
    });

    it('change each field they name, and no others', async () => {
      const changes = [
        { proof: newProof() },
        { userId: 'bob' },
        { authenticatedAt: bench.clock.now() + 1 },
        { touchedAt: bench.clock.now() + 2 },
        { expiresAt: bench.clock.now() + 2 * HOUR + 3 },
        { ttl: 4_004 },
        { client: '{"userAgent":"laptop"}' },
      ];
      for (const change of changes) {
        const record = await whole();
        expect(await update(record.handle, change)).toBe('ok');
        expect(await read(record.handle)).toEqual({ ...record, ...change });
      }
    });

    it('remove each field they name as null, and no others', async () => {
      for (const field of ['userId', 'authenticatedAt', 'ttl', 'client'] as const) {
        const record = await whole();
        expect(await update(record.handle, { [field]: null })).toBe('ok');
        expect(await read(record.handle)).toEqual({ ...record, [field]: undefined });
      }
    });

    it('remove what was not there without an error', async () => {
      const record = await given(bench);
      expect(
        await update(record.handle, { userId: null, authenticatedAt: null, ttl: null, client: null }),
      ).toBe('ok');
      expect(await read(record.handle)).toEqual(record);
    });

    it('take all of a login and everything with it at once, and all of a logout that keeps the session', async () => {
      const record = await given(bench, { data: { cart: '[]', old: '1' } });
      const login = {
        proof: newProof(),
        userId: 'ada',
        ttl: 5_000,
        authenticatedAt: bench.clock.now(),
        touchedAt: bench.clock.now() + 1,
        expiresAt: bench.clock.now() + 2 * HOUR,
        client: '"laptop"',
      };
      expect(await update(record.handle, { ...login, set: { role: '"admin"' }, remove: ['old'] })).toBe('ok');
      const after = { ...record, ...login, data: { cart: '[]', role: '"admin"' } };
      expect(await read(record.handle)).toEqual(after);
      await expectUser(bench, 'ada', [record]);

      const logout = { proof: newProof(), userId: null, authenticatedAt: null, ttl: null, client: null };
      expect(await update(record.handle, { ...logout, remove: ['role'] })).toBe('ok');
      const { proof, touchedAt, expiresAt } = { ...login, proof: logout.proof };
      expect(await read(record.handle)).toEqual({
        ...record,
        proof,
        touchedAt,
        expiresAt,
        data: { cart: '[]' },
      });
      await expectUser(bench, 'ada', []);
    });

    it('leave alone what is named as undefined', async () => {
      const record = await whole();
      const change = {
        set: undefined,
        remove: undefined,
        proof: undefined,
        userId: undefined,
        authenticatedAt: undefined,
        touchedAt: undefined,
        expiresAt: undefined,
        ttl: undefined,
        client: undefined,
        expected: undefined,
        lease: undefined,
      };
      expect(await update(record.handle, change)).toBe('ok');
      expect(await read(record.handle)).toEqual(record);
      await expectUser(bench, 'ada', [record]);
    });

    it('that name nothing, or what is so already, change nothing and are ok', async () => {
      const record = await whole();
      const { proof, userId, ttl, touchedAt, data } = record;
      const changes = [{}, { set: {}, remove: [] }, { proof, userId, ttl, touchedAt, set: data }];
      for (const change of changes) expect(await update(record.handle, change)).toBe('ok');
      expect(await read(record.handle)).toEqual(record);
      await expectUser(bench, 'ada', [record]);
    });

    it('change no other session', async () => {
      const record = await given(bench);
      const other = await given(bench);
      await update(record.handle, { set: { visits: '2' }, userId: 'ada' });
      expect(await read(other.handle)).toEqual(other);
    });

    it('of a destroyed session are gone, whatever they expect, and bring nothing back (S27)', async () => {
      const record = await given(bench, { userId: 'ada' });
      await bench.storage.destroy(record.handle);
      const changes: SessionChange[] = [
        { set: { visits: '2' } },
        { remove: ['visits'] },
        { expiresAt: record.expiresAt + 1, touchedAt: 1 },
        { userId: 'ada' },
        { proof: record.proof },
        { expected: { proof: record.proof }, set: { visits: '2' } },
        { expected: { proof: newProof(), userId: 'bob' }, set: { visits: '2' } },
        { expected: { userId: null, ttl: null }, set: { visits: '2' } },
        { lease: 'made-up', set: { visits: '2' } },
        {},
      ];
      for (const change of changes) expect(await update(record.handle, change)).toBe('gone');
      expect(await read(record.handle)).toBeUndefined();
      await expectUser(bench, 'ada', []);
      await expectCount(bench, 0);
    });
  });
}
