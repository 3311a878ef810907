import { runner } from '../runner.js';
import { lockTests } from './locks.js';
import { raceTests } from './races.js';
import { expectCount, expectUser, given, newRecord, type StorageBench } from './bench.js';

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
      await expectCount(bench, 1, bench.second);
      expect(await bench.storage.destroy(record.handle)).toBe(true);
      expect(await bench.second.read(record.handle)).toBeUndefined();
      await expectUser(bench, 'ada', [], bench.second);
      expect(await bench.second.update(record.handle, { set: { visits: '3' } })).toBe('gone');
    });
  });

  describe('races between two nodes', () => raceTests(bench, nodes));
  describe('locks between two nodes', () => lockTests(bench, nodes));
}
