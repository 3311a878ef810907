import { runner } from '../runner.js';
import { expectCount, given, memberOf, OPTIONAL, times, type StorageBench } from './bench.js';

const { describe, expect, it } = runner;

/** What a storage may lack, and the two of it that have little to say. */
export function describeMembers(bench: StorageBench): void {
  describe('optional methods', () => {
    for (const name of OPTIONAL) {
      if (bench.without.includes(name)) {
        it(`lack ${name}, as the storage says`, () => {
          expect(bench.storage[name]).toBeUndefined();
        });
      } else {
        it(`have ${name}, as the storage does not say that it is missing`, () => {
          memberOf(bench.storage, name);
        });
      }
    }

    if (!bench.without.includes('count')) {
      it('count the records', async () => {
        await expectCount(bench, 0);
        const records = await Promise.all(times(5, () => given(bench)));
        await expectCount(bench, 5);
        await bench.storage.update(records[0].handle, { set: { a: '1' } });
        await bench.storage.destroy(records[1].handle);
        await expectCount(bench, 4);
      });
    }

    if (!bench.without.includes('ping')) {
      it('answer a ping with nothing, whether or not there is a record', async () => {
        const ping = memberOf(bench.storage, 'ping');
        expect(await ping()).toBeUndefined();
        await given(bench);
        expect(await ping()).toBeUndefined();
        await expectCount(bench, 1);
      });
    }
  });
}
