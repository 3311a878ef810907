import { runner } from '../runner.js';
import { given, memberOf, newHandle, purge, times, type StorageBench } from './bench.js';

const { describe, expect, it } = runner;

/** The batched look at many sessions: which of them are still there. */
export function describeAlive(bench: StorageBench): void {
  const alive = async (handles: readonly string[]) =>
    [...(await memberOf(bench.storage, 'alive')(Object.freeze(handles)))].toSorted();

  describe('which are alive', () => {
    it('are those that have a record, of the ones that were asked for', async () => {
      const [first, second] = await Promise.all(times(3, () => given(bench)));
      const asked = [newHandle(), second!.handle, newHandle(), first!.handle];
      expect(await alive(asked)).toEqual([first!.handle, second!.handle].toSorted());
    });

    it('are none of none, and none of those that never were', async () => {
      await given(bench);
      expect(await alive([])).toEqual([]);
      expect(await alive([newHandle(), newHandle()])).toEqual([]);
    });

    it('are not those that were destroyed or have expired (S21, S26)', async () => {
      const expiresAt = bench.clock.now() + bench.clock.short;
      const expired = await given(bench, { expiresAt });
      const destroyed = await given(bench);
      const live = await given(bench);
      await bench.storage.destroy(destroyed.handle);
      const handles = [expired.handle, destroyed.handle, live.handle];
      await bench.clock.at(expiresAt, async () => expect(await alive(handles)).toEqual([live.handle]));
      await purge(bench);
      expect(await alive(handles)).toEqual([live.handle]);
    });

    it('can be asked of hundreds at a time', async () => {
      const records = await Promise.all(times(300, () => given(bench)));
      const handles = records.map(({ handle }) => handle);
      expect(await alive([...handles, ...times(300, newHandle)])).toEqual(handles.toSorted());
    });
  });
}
