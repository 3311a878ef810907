import { runner } from '../runner.js';
import { atOnce, expectCount, expectUser, given, memberOf, times, type StorageBench } from './bench.js';

const { describe, expect, it } = runner;

/** Purging, of a storage that expires by the suite's clock. */
export function describePurge(bench: StorageBench): void {
  const inMinutes = (minutes: number) => bench.clock.now() + minutes * 60_000;
  const purge = async (limit: number) => memberOf(bench.storage, 'purgeExpired')(limit);

  describe('purge', () => {
    it('finds nothing in an empty storage, nor among live sessions', async () => {
      expect(await purge(10)).toBe(0);
      const record = await given(bench);
      expect(await purge(10)).toBe(0);
      expect(await bench.storage.read(record.handle)).toEqual(record);
    });

    it('counts expired records until it has removed them', async () => {
      const [first] = await Promise.all(
        times(3, () => given(bench, { expiresAt: inMinutes(1), userId: 'ada' })),
      );
      await given(bench);
      await bench.clock.at(first!.expiresAt, async () => {
        await expectCount(bench, 4);
        expect(await purge(10)).toBe(3);
        await expectCount(bench, 1);
        expect(await purge(10)).toBe(0);
      });
    });

    it('removes what expires at this very millisecond, and nothing that expires at the next (S21)', async () => {
      const deadline = inMinutes(1);
      await given(bench, { expiresAt: deadline - 1 });
      await given(bench, { expiresAt: deadline });
      const next = await given(bench, { expiresAt: deadline + 1 });
      await bench.clock.at(deadline, async () => {
        expect(await purge(10)).toBe(2);
        expect(await bench.storage.read(next.handle)).toEqual(next);
      });
      await bench.clock.at(deadline + 1, async () => {
        expect(await purge(10)).toBe(1);
      });
    });

    it('removes no more than the limit at a time, and less only when none is left', async () => {
      const live = await given(bench);
      const dead = await Promise.all(times(25, (i) => given(bench, { expiresAt: inMinutes(1) + i * 500 })));
      await bench.clock.at(dead[24].expiresAt, async () => {
        expect(await purge(0)).toBe(0);
        expect([await purge(10), await purge(10), await purge(10), await purge(10)]).toEqual([10, 10, 5, 0]);
        await expectCount(bench, 1);
        expect(await bench.storage.read(live.handle)).toEqual(live);
      });
    });

    it('removes whatever has expired, however long ago and however long it lasted', async () => {
      const minutes = [1, 59, 61, 60 * 24, 60 * 24 * 30, 60 * 24 * 400];
      const records = await Promise.all(times(6, (i) => given(bench, { expiresAt: inMinutes(minutes[i]) })));
      for (const record of records) {
        await bench.clock.at(record.expiresAt - 1, async () => expect(await purge(10)).toBe(0));
        await bench.clock.at(record.expiresAt, async () => expect(await purge(10)).toBe(1));
      }
      const [first] = await Promise.all(times(3, (i) => given(bench, { expiresAt: inMinutes(1 + i * 100) })));
      await bench.clock.at(first!.expiresAt + 86_400_000 * 365, async () => expect(await purge(10)).toBe(3));
      await expectCount(bench, 0);
    });

    it('leaves a session that was touched until its new deadline, touched again and again (S23)', async () => {
      const { handle, expiresAt: first } = await given(bench, { expiresAt: inMinutes(1) });
      let expiresAt = first;
      for (let i = 0; i < 5; i++) {
        const before = expiresAt;
        expiresAt += 60_000;
        await bench.storage.update(handle, { expiresAt });
        await bench.clock.at(before, async () => expect(await purge(10)).toBe(0));
      }
      await bench.clock.at(expiresAt - 1, async () => expect(await purge(10)).toBe(0));
      await bench.clock.at(expiresAt, async () => expect(await purge(10)).toBe(1));
    });

    it('removes a session whose deadline came earlier at the earlier one', async () => {
      const { handle } = await given(bench, { expiresAt: inMinutes(60 * 24) });
      const earlier = inMinutes(3);
      await bench.storage.update(handle, { expiresAt: inMinutes(60 * 48) });
      await bench.storage.update(handle, { expiresAt: earlier });
      await bench.clock.at(earlier - 1, async () => expect(await purge(10)).toBe(0));
      await bench.clock.at(earlier, async () => expect(await purge(10)).toBe(1));
    });

    it('counts a destroyed session no more', async () => {
      const { handle, expiresAt } = await given(bench, { expiresAt: inMinutes(1) });
      await bench.storage.destroy(handle);
      await bench.clock.at(expiresAt, async () => expect(await purge(10)).toBe(0));
    });

    it('removes each record once, when several purge at once', async () => {
      const dead = await Promise.all(times(20, () => given(bench, { expiresAt: inMinutes(1) })));
      await given(bench);
      await bench.clock.at(dead[0].expiresAt, async () => {
        const counts = await atOnce(...times(4, () => () => purge(100)));
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(20);
        await expectCount(bench, 1);
      });
    });

    it('removes nothing that is created, touched or written meanwhile', async () => {
      const dead = await Promise.all(
        times(20, () => given(bench, { expiresAt: inMinutes(1), userId: 'ada' })),
      );
      const live = await Promise.all(times(5, () => given(bench, { expiresAt: inMinutes(2) })));
      const expiresAt = inMinutes(9);
      await bench.clock.at(dead[0].expiresAt, async () => {
        const touches = live.map(
          ({ handle }) =>
            () =>
              bench.storage.update(handle, { expiresAt }),
        );
        const creates = dead.slice(0, 5).map(
          ({ handle }) =>
            () =>
              given(bench, { handle, userId: 'bob' }),
        );
        await atOnce<unknown>(
          ...touches,
          () => purge(100),
          ...creates,
          () => purge(100),
        );
        await expectCount(bench, 10);
      });
      await bench.clock.at(inMinutes(3), async () => {
        for (const record of live) {
          expect(await bench.storage.read(record.handle)).toEqual({ ...record, expiresAt });
        }
        await expectUser(bench, 'bob', dead.slice(0, 5));
        await expectUser(bench, 'ada', []);
      });
    });
  });
}
