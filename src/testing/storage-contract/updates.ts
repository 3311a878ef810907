import { runner } from '../runner.js';
import { frozen, given, pairsOf, type StorageBench } from './storage-bench.js';

const { describe, expect, it } = runner;

export function describeUpdates(bench: StorageBench): void {
  const read = (handle: string) => bench.storage.read(handle);

  describe('updates', () => {
    it('sets and removes the keys they name, and no others', async () => {
      const record = await given(bench, { data: { kept: '1', changed: '1', removed: '1' } });
      const change = frozen({ set: { changed: '2', added: '"new"' }, remove: ['removed', 'neverThere'] });
      expect(await bench.storage.update(record.handle, change)).toBe('ok');
      const found = await read(record.handle);
      expect(pairsOf(found?.data)).toEqual([
        ['added', '"new"'],
        ['changed', '2'],
        ['kept', '1'],
      ]);
    });

    it('can remove every key, and set keys again', async () => {
      const record = await given(bench, { data: { a: '1', b: '2' } });
      await bench.storage.update(record.handle, frozen({ remove: ['a', 'b'] }));
      expect(pairsOf((await read(record.handle))?.data)).toEqual([]);
      await bench.storage.update(record.handle, frozen({ set: { a: '3' } }));
      expect(pairsOf((await read(record.handle))?.data)).toEqual([['a', '3']]);
    });

    it('change each field they name, and no others', async () => {
      const changes = [
        { proof: 'another-proof-another-proof-another-proof-4' },
        { userId: 'bob' },
        { authenticatedAt: bench.clock.now() + 1 },
        { touchedAt: bench.clock.now() + 2 },
        { expiresAt: bench.clock.now() + 7_200_003 },
        { ttl: 4_004 },
      ];
      for (const change of changes) {
        const record = await given(bench, { userId: 'ada', ttl: 9_000, authenticatedAt: 1_234_567_890_123 });
        expect(await bench.storage.update(record.handle, frozen(change))).toBe('ok');
        expect(await read(record.handle)).toEqual({ ...record, ...change, version: 2 });
      }
    });

    it('give a session what it never had', async () => {
      const record = await given(bench, { data: {} });
      const login = { userId: 'ada', ttl: 5_000, authenticatedAt: bench.clock.now() };
      await bench.storage.update(record.handle, frozen({ ...login, set: { role: '"admin"' } }));
      expect(await read(record.handle)).toEqual({
        ...record,
        ...login,
        version: 2,
        data: { role: '"admin"' },
      });
    });

    it('leave alone what is named as undefined', async () => {
      const record = await given(bench, { userId: 'ada', ttl: 9_000, authenticatedAt: 1_234_567_890_123 });
      const change = frozen({
        set: undefined,
        remove: undefined,
        proof: undefined,
        userId: undefined,
        authenticatedAt: undefined,
        touchedAt: undefined,
        expiresAt: undefined,
        ttl: undefined,
        expectedVersion: undefined,
        lease: undefined,
      });
      expect(await bench.storage.update(record.handle, change)).toBe('ok');
      expect(await read(record.handle)).toEqual({ ...record, version: 2 });
      expect((await bench.storage.byUser('ada')).length).toBe(1);
    });

    it('add one to the version each, also when they name nothing', async () => {
      const record = await given(bench);
      await bench.storage.update(record.handle, {});
      await bench.storage.update(record.handle, { touchedAt: record.touchedAt + 1 });
      await bench.storage.update(record.handle, { set: {}, remove: [] });
      expect(await read(record.handle)).toEqual({
        ...record,
        touchedAt: record.touchedAt + 1,
        version: 4,
      });
    });

    it('change no other session', async () => {
      const record = await given(bench);
      const other = await given(bench);
      await bench.storage.update(record.handle, { set: { visits: '2' }, userId: 'ada' });
      expect(await read(other.handle)).toEqual(other);
    });

    it('are made under the expected version, and answered with a conflict under any other', async () => {
      const record = await given(bench);
      const next = frozen({ set: { visits: '2' }, expectedVersion: 1 });
      expect(await bench.storage.update(record.handle, next)).toBe('ok');
      expect(await bench.storage.update(record.handle, next)).toBe('conflict');
      expect(await bench.storage.update(record.handle, { expectedVersion: 3 })).toBe('conflict');
      expect(await bench.storage.update(record.handle, { expectedVersion: 0 })).toBe('conflict');
      expect(await bench.storage.update(record.handle, { expectedVersion: 2 })).toBe('ok');
    });

    it('change nothing at all in a conflict', async () => {
      const record = await given(bench, { userId: 'ada' });
      const change = frozen({
        set: { visits: '9', added: '9' },
        remove: ['visits'],
        proof: 'another-proof-another-proof-another-proof-4',
        userId: 'bob',
        authenticatedAt: 9,
        touchedAt: 9,
        expiresAt: record.expiresAt + 9,
        ttl: 9,
        expectedVersion: 2,
      });
      expect(await bench.storage.update(record.handle, change)).toBe('conflict');
      expect(await read(record.handle)).toEqual(record);
      expect(await bench.storage.byUser('bob')).toEqual([]);
    });

    it('of a destroyed session are gone, whatever they expect, and bring nothing back (S27)', async () => {
      const record = await given(bench, { userId: 'ada' });
      await bench.storage.destroy(record.handle);
      const expiresAt = record.expiresAt + 1;
      const changes = [
        { set: { visits: '2' } },
        { remove: ['visits'] },
        { expiresAt, touchedAt: 1 },
        { userId: 'ada' },
        { proof: record.proof },
        { expectedVersion: 1, set: { visits: '2' } },
        {},
      ];
      for (const change of changes) {
        expect(await bench.storage.update(record.handle, frozen(change))).toBe('gone');
      }
      expect(await read(record.handle)).toBeUndefined();
      expect(await bench.storage.byUser('ada')).toEqual([]);
      expect(await bench.storage.count()).toBe(0);
    });
  });
}
