import { runner } from '../runner.js';
import { atOnce, given, handlesOf, times, type StorageBench } from './storage-bench.js';

const { describe, expect, it } = runner;

const ODD_USER_IDS = [
  '',
  ' ',
  'ada ',
  'ada',
  'Ada',
  'ädä',
  '日本語',
  '👩‍💻',
  '__proto__',
  'constructor',
  'a:b{c}*?[d]%_',
  `'"; DROP TABLE sessions; --`,
  'tab\tand\nnewline',
  'x'.repeat(512),
];

export function describeUsers(bench: StorageBench): void {
  const handles = async (userId: string) => handlesOf(await bench.storage.byUser(userId));

  describe('users', () => {
    it('have their sessions listed, whole, and no others (S33)', async () => {
      const first = await given(bench, { userId: 'ada', data: { device: '"phone"' }, ttl: 5_000 });
      const second = await given(bench, { userId: 'ada', authenticatedAt: bench.clock.now() });
      await given(bench, { userId: 'bob' });
      await given(bench);
      expect(await handles('ada')).toEqual(handlesOf([first, second]));
      const listed = await bench.storage.byUser('ada');
      expect(listed.find(({ handle }) => handle === first.handle)).toEqual(first);
      expect(listed.find(({ handle }) => handle === second.handle)).toEqual(second);
    });

    it('without sessions have an empty list', async () => {
      await given(bench);
      expect(await bench.storage.byUser('ada')).toEqual([]);
      expect(await bench.storage.byUser('undefined')).toEqual([]);
      expect(await bench.storage.byUser('')).toEqual([]);
    });

    it('get a session by login, and lose it to the next user who logs in', async () => {
      const { handle } = await given(bench);
      const other = await given(bench, { userId: 'ada' });
      await bench.storage.update(handle, { userId: 'ada' });
      expect(await handles('ada')).toEqual(handlesOf([{ ...other, handle }, other]));
      await bench.storage.update(handle, { userId: 'bob' });
      expect(await handles('ada')).toEqual([other.handle]);
      expect(await handles('bob')).toEqual([handle]);
      await bench.storage.update(handle, { userId: 'bob', set: { visits: '2' } });
      expect(await handles('bob')).toEqual([handle]);
      await bench.storage.destroy(handle);
      expect(await handles('bob')).toEqual([]);
    });

    it('have a list that shows the sessions as they are now', async () => {
      const record = await given(bench, { userId: 'ada' });
      await bench.storage.update(record.handle, { set: { visits: '2' } });
      expect(await bench.storage.byUser('ada')).toEqual([{ ...record, version: 2, data: { visits: '2' } }]);
    });

    it('do not keep destroyed or expired sessions in their list (S25, S26)', async () => {
      const expiresAt = bench.clock.now() + bench.clock.short;
      const dead = await given(bench, { userId: 'ada', expiresAt });
      const destroyed = await given(bench, { userId: 'ada' });
      const live = await given(bench, { userId: 'ada' });
      await bench.storage.destroy(destroyed.handle);
      expect(await handles('ada')).toEqual(handlesOf([dead, live]));
      await bench.clock.at(expiresAt, async () => expect(await handles('ada')).toEqual([live.handle]));
      await bench.storage.purgeExpired(10);
      expect(await handles('ada')).toEqual([live.handle]);
    });

    it('keep a session that was touched in their list past its first deadline', async () => {
      const expiresAt = bench.clock.now() + bench.clock.short;
      const { handle } = await given(bench, { userId: 'ada', expiresAt });
      await bench.storage.update(handle, { expiresAt: expiresAt + 3_600_000 });
      await bench.clock.at(expiresAt, async () => {
        await bench.storage.purgeExpired(10);
        expect(await handles('ada')).toEqual([handle]);
      });
    });

    it('can have many sessions, each removed on its own', async () => {
      const records = await Promise.all(times(60, () => given(bench, { userId: 'ada' })));
      expect(await handles('ada')).toEqual(handlesOf(records));
      const even = records.filter((_, i) => i % 2 === 0);
      await atOnce(
        ...even.map(
          ({ handle }) =>
            () =>
              bench.storage.destroy(handle),
        ),
      );
      expect(await handles('ada')).toEqual(handlesOf(records.filter((_, i) => i % 2 === 1)));
    });

    it('can have any string as their id, each taken to the letter (S48)', async () => {
      const records = await Promise.all(ODD_USER_IDS.map((userId) => given(bench, { userId })));
      for (const record of records) {
        expect(await bench.storage.byUser(record.userId!)).toEqual([record]);
      }
      for (const { handle } of records) await bench.storage.destroy(handle);
      for (const userId of ODD_USER_IDS) expect(await bench.storage.byUser(userId)).toEqual([]);
    });

    it('can get any of those ids by login, the empty one too', async () => {
      const { handle } = await given(bench, { userId: 'before' });
      for (const userId of ODD_USER_IDS) {
        await bench.storage.update(handle, { userId });
        expect((await bench.storage.read(handle))?.userId).toBe(userId);
        expect(await handles(userId)).toEqual([handle]);
      }
    });
  });
}
