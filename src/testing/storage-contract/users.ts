import { runner } from '../runner.js';
import {
  atOnce,
  expectUser,
  given,
  HOUR,
  memberOf,
  newRecord,
  purge,
  times,
  type StorageBench,
} from './bench.js';

const { describe, expect, it } = runner;

/** Well-formed text that is not empty, as the library refuses other users. */
const ODD_USER_IDS = [
  ' ',
  '  ',
  'ada',
  'ada ',
  ' ada',
  'ada\t',
  'Ada',
  'ADA',
  'ädä',
  'a\u0308da\u0308',
  '日本語',
  '👩‍💻',
  '👩',
  '0',
  '00',
  'null',
  '__proto__',
  'constructor',
  'a:b{c}*?[d]%_',
  `'"; DROP TABLE sessions; --`,
  'tab\tand\nnewline',
  'x'.repeat(255),
];

export function describeUsers(bench: StorageBench): void {
  const byUser = async (userId: string) => memberOf(bench.storage, 'byUser')(userId);
  const expectSessions = (userId: string, sessions: readonly { readonly handle: string }[]) =>
    expectUser(bench, userId, sessions);

  describe('users', () => {
    it('have their sessions listed, whole, and no others (S33)', async () => {
      const first = await given(bench, { userId: 'ada', data: { device: '"phone"' }, ttl: 5_000 });
      const second = await given(bench, { userId: 'ada', authenticatedAt: bench.clock.now() });
      await given(bench, { userId: 'bob' });
      await given(bench);
      await expectSessions('ada', [first, second]);
      const listed = await byUser('ada');
      expect(listed.find(({ handle }) => handle === first.handle)).toEqual(first);
      expect(listed.find(({ handle }) => handle === second.handle)).toEqual(second);
    });

    it('without sessions have an empty list', async () => {
      await given(bench);
      for (const userId of ['ada', 'undefined', 'null']) expect(await byUser(userId)).toEqual([]);
    });

    it('get a session by login, and lose it to the next user who logs in or by logging out', async () => {
      const { handle } = await given(bench);
      const other = await given(bench, { userId: 'ada' });
      await bench.storage.update(handle, { userId: 'ada' });
      await expectSessions('ada', [{ handle }, other]);
      await bench.storage.update(handle, { userId: 'bob' });
      await expectSessions('ada', [other]);
      await expectSessions('bob', [{ handle }]);
      await bench.storage.update(handle, { userId: 'bob', set: { visits: '2' } });
      await expectSessions('bob', [{ handle }]);
      await bench.storage.update(handle, { userId: null });
      await expectSessions('bob', []);
      await bench.storage.update(handle, { userId: 'ada' });
      await expectSessions('ada', [{ handle }, other]);
      await bench.storage.destroy(handle);
      await expectSessions('ada', [other]);
    });

    it('have a list that shows the sessions as they are now', async () => {
      const record = await given(bench, { userId: 'ada' });
      await bench.storage.update(record.handle, { set: { visits: '2' } });
      expect(await byUser('ada')).toEqual([{ ...record, data: { visits: '2' } }]);
    });

    it('do not keep destroyed or expired sessions in their list (S25, S26)', async () => {
      const expiresAt = bench.clock.now() + bench.clock.short;
      const dead = await given(bench, { userId: 'ada', expiresAt });
      const destroyed = await given(bench, { userId: 'ada' });
      const live = await given(bench, { userId: 'ada' });
      await bench.storage.destroy(destroyed.handle);
      await expectSessions('ada', [dead, live]);
      await bench.clock.at(expiresAt, () => expectSessions('ada', [live]));
      await purge(bench);
      await expectSessions('ada', [live]);
    });

    it('keep a session that was touched in their list past its first deadline', async () => {
      const expiresAt = bench.clock.now() + bench.clock.short;
      const { handle } = await given(bench, { userId: 'ada', expiresAt });
      await bench.storage.update(handle, { expiresAt: expiresAt + HOUR });
      await bench.clock.at(expiresAt, async () => {
        await purge(bench);
        await expectSessions('ada', [{ handle }]);
      });
    });

    it('can have many sessions, each removed on its own', async () => {
      const records = await Promise.all(times(60, () => given(bench, { userId: 'ada' })));
      await expectSessions('ada', records);
      const odd = records.filter((_, i) => i % 2 === 1);
      const even = records.filter((_, i) => i % 2 === 0);
      await atOnce(...even.map((record) => () => bench.storage.destroy(record.handle)));
      await expectSessions('ada', odd);
    });

    it('can have any text as their id, and those that look alike are different users (S59)', async () => {
      const records = await Promise.all(ODD_USER_IDS.map((userId) => given(bench, { userId })));
      for (const record of records) {
        expect(await byUser(record.userId!)).toEqual([record]);
      }
      for (const { handle } of records) await bench.storage.destroy(handle);
      for (const userId of ODD_USER_IDS) expect(await byUser(userId)).toEqual([]);
    });

    it('with a NUL in their id are kept to the letter or refused, and never become another user (S59)', async () => {
      for (const userId of ['ada\u0000', 'ada\u0000x', '\u0000ada']) {
        const record = newRecord(bench.clock, { userId });
        const created = await attempt(() => bench.storage.create(record));
        if (created) expect(await byUser(userId)).toEqual([record]);
        else expect(await bench.storage.read(record.handle)).toBeUndefined();
      }
      await expectSessions('ada', []);
      const { handle } = await given(bench, { userId: 'bob' });
      await attempt(() => bench.storage.update(handle, { userId: 'ada\u0000' }));
      await expectSessions('ada', []);
    });

    it('of any of those ids can log in, and their sessions can be ended for them (S30, S59)', async () => {
      const { handle } = await given(bench, { userId: 'before' });
      for (const userId of ODD_USER_IDS) {
        expect(await bench.storage.update(handle, { userId })).toBe('ok');
        expect((await bench.storage.read(handle))?.userId).toBe(userId);
        await expectSessions(userId, [{ handle }]);
        expect(await bench.storage.destroy(handle, { userId: `${userId} ` })).toBe(false);
        expect(await bench.storage.update(handle, { expected: { userId } })).toBe('ok');
      }
    });
  });
}

/** What a call answers, or undefined if it fails. */
async function attempt<T>(call: () => T): Promise<Awaited<T> | undefined> {
  try {
    return await call();
  } catch {
    return undefined;
  }
}
