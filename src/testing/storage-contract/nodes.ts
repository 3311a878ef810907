import { runner } from '../runner.js';
import { lockTests } from './locks.js';
import { raceTests } from './races.js';
import { given, newRecord, type StorageBench } from './storage-bench.js';

const { describe, expect, it } = runner;

/** Two nodes on the same records. */
export function describeNodes(bench: StorageBench): void {
  const nodes = () => [bench.storage, bench.second];

  describe('two nodes', () => {
    it('see what the other one does at once (S26)', async () => {
      const record = await given(bench, { userId: 'ada' });
      expect(await bench.second.read(record.handle)).toEqual(record);
      expect(await bench.second.create(newRecord(bench.clock, { handle: record.handle }))).toBe(false);
      expect(await bench.second.update(record.handle, { set: { visits: '2' } })).toBe('ok');
      expect((await bench.storage.read(record.handle))?.data.visits).toBe('2');
      expect(await bench.second.count()).toBe(1);
      expect(await bench.storage.destroy(record.handle)).toBe(true);
      expect(await bench.second.read(record.handle)).toBeUndefined();
      expect(await bench.second.byUser('ada')).toEqual([]);
      expect(await bench.second.update(record.handle, { set: { visits: '3' } })).toBe('gone');
    });
  });

  describe('races between two nodes', () => raceTests(bench, nodes));
  describe('locks between two nodes', () => lockTests(bench, nodes));
}
