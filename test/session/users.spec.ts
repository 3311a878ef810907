import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  MemoryStorage,
  SessionError,
  SessionGoneError,
  SessionOptionsError,
  SessionStorageError,
} from '../../src/index.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { type Bench, failureOf, kinds, loaded, open, secretOf, storageOf } from '../support/session-bench.js';

const HOUR = 3_600_000;

beforeEach(freezeTime);
afterEach(unfreezeTime);

describe.each(kinds)("a user's sessions: %s", (kind) => {
  let bench: Bench;

  beforeEach(async () => {
    bench = await open(kind);
  });

  const handles = async (userId: string) =>
    (await bench.store.listByUser(userId)).map(({ handle }) => handle).toSorted();

  it('the list has handle, user, times and data of each, and those of nobody else (S33)', async () => {
    const start = new Date();
    const session = await bench.store.create({
      userId: 'ada',
      data: { device: { name: 'phone' } },
      ttl: '2h',
    });
    await bench.store.create({ userId: 'grace' });
    await bench.store.create();
    expect(await bench.store.listByUser('ada')).toEqual([
      {
        handle: session.handle,
        userId: 'ada',
        createdAt: start,
        authenticatedAt: start,
        touchedAt: start,
        expiresAt: new Date(start.getTime() + 2 * HOUR),
        data: { device: { name: 'phone' } },
      },
    ]);
  });

  it.each(['{', '7', '"phone"'])(
    'what is said of a client counts as absent if it is %s (S49)',
    async (client) => {
      const { handle } = await bench.store.create({ userId: 'ada', data: { n: 1 } });
      await bench.storage.update(handle, { client });
      expect(await bench.store.listByUser('ada')).toMatchObject([{ client: undefined, data: { n: 1 } }]);
    },
  );

  it('nothing in it can be replayed: no id, secret or proof anywhere (S8, S33)', async () => {
    const own = 'own-id-of-ada_0123456789';
    const sessions = [
      await bench.store.create({ userId: 'ada', data: { n: 1 } }),
      await bench.store.create({ userId: 'ada', id: own }),
    ];
    sessions[0]!.flash('notice', 'secret flash');
    await sessions[0]!.save();
    await sessions[0]!.regenerate();
    const infos = await bench.store.listByUser('ada');
    const shown = [
      JSON.stringify(infos),
      inspect(infos, { depth: Infinity, showHidden: true, getters: true, customInspect: false }),
    ].join();
    for (const { id, handle } of sessions) {
      expect(shown).toContain(handle);
      expect(shown).not.toContain(id);
      expect(shown).not.toContain(secretOf(id));
      expect(shown).not.toContain(bench.probe.peek(handle)!.proof);
    }
    expect(shown).not.toContain('secret flash');
    for (const info of infos) {
      for (const text of Object.values(info)) {
        if (typeof text === 'string') expect(await bench.store.load(text)).toBeUndefined();
      }
    }
  });

  it('expired ones are not in it, the last used comes first, and login and logout move sessions (S25)', async () => {
    await bench.store.create({ userId: 'ada', ttl: '1m' });
    const one = await bench.store.create({ userId: 'ada' });
    passTime(60_000);
    const two = await bench.store.create();
    await two.login('ada');
    expect((await bench.store.listByUser('ada')).map(({ handle }) => handle)).toEqual([
      two.handle,
      one.handle,
    ]);
    passTime(HOUR / 2);
    one.set('used', true);
    await one.save();
    expect((await bench.store.listByUser('ada')).map(({ handle }) => handle)).toEqual([
      one.handle,
      two.handle,
    ]);
    await one.login('grace');
    await two.logout();
    expect(await bench.store.listByUser('ada')).toEqual([]);
    expect(await handles('grace')).toEqual([one.handle]);
  });

  it('a list is of its moment: changing it changes no session', async () => {
    const session = await bench.store.create({ userId: 'ada', data: { basket: [1] } });
    const [info] = await bench.store.listByUser('ada');
    info!.data.basket.push(2);
    info!.createdAt.setTime(0);
    expect((await loaded(bench, session.id)).get('basket')).toEqual([1]);
    expect((await bench.store.listByUser('ada'))[0]).toMatchObject({ data: { basket: [1] } });
  });

  it.each([
    '__proto__',
    'constructor',
    ' ',
    'ü 日本 😀',
    'a:b/c.d',
    "'; DROP TABLE sessions; --",
    'x'.repeat(1_000),
  ])('the user %j has sessions like any (S48)', async (userId) => {
    expect(await bench.store.listByUser(userId)).toEqual([]);
    const session = await bench.store.create({ userId });
    await bench.store.create({ userId: 'ada' });
    expect((await loaded(bench, session.id)).userId).toBe(userId);
    expect(await handles(userId)).toEqual([session.handle]);
    expect(await bench.store.destroyByUser(userId)).toBe(1);
    expect(await bench.store.count()).toBe(1);
  });

  it('all of a user can be ended, those of others stay (S30)', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.push((await bench.store.create({ userId: 'ada' })).id);
    const other = await bench.store.create({ userId: 'grace' });
    expect(await bench.store.destroyByUser('ada')).toBe(3);
    for (const id of ids) expect(await bench.store.load(id)).toBeUndefined();
    expect(await bench.store.load(other.id)).toBeDefined();
    expect(await bench.store.destroyByUser('ada')).toBe(0);
    expect(await bench.store.destroyByUser('nobody')).toBe(0);
  });

  it('all but one can be ended, named by its handle (S31)', async () => {
    const one = await bench.store.create({ userId: 'ada' });
    for (let i = 0; i < 2; i++) await bench.store.create({ userId: 'ada' });
    expect(await bench.store.destroyByUser('ada', { except: one.handle })).toBe(2);
    expect(await handles('ada')).toEqual([one.handle]);
  });

  it.each<[options: object, problem: string]>([
    [{ exept: 'A'.repeat(22) }, 'exept'],
    [{ except: '' }, 'except must be the handle of a session'],
    [{ except: 1 }, 'except must be the handle of a session'],
    [[], 'destroyByUser'],
  ])('%j is a clear error and ends nothing', async (options, problem) => {
    await bench.store.create({ userId: 'ada' });
    const error = await failureOf(() => bench.store.destroyByUser('ada', options));
    expect(error).toBeInstanceOf(SessionOptionsError);
    expect(error.message).toContain(problem);
    expect(await handles('ada')).toHaveLength(1);
  });

  it('an expired one is not counted among those that were ended', async () => {
    await bench.store.create({ userId: 'ada', ttl: '1m' });
    await bench.store.create({ userId: 'ada' });
    passTime(60_000);
    expect(await bench.store.destroyByUser('ada')).toBe(1);
  });

  it("the exception of another user's handle saves nobody", async () => {
    const other = await bench.store.create({ userId: 'grace' });
    await bench.store.create({ userId: 'ada' });
    expect(await bench.store.destroyByUser('ada', { except: other.handle })).toBe(1);
    expect(await handles('grace')).toEqual([other.handle]);
  });

  it('a session that was ended so stays dead in the hands of its holder (S27)', async () => {
    const session = await bench.store.create({ userId: 'ada' });
    await bench.store.destroyByUser('ada');
    session.set('n', 1);
    await expect(session.save()).rejects.toThrow(SessionGoneError);
    expect(await bench.store.isEmpty()).toBe(true);
  });

  it('an administrator ends one by its handle, once (S32)', async () => {
    const session = await bench.store.create({ userId: 'ada' });
    const { id, handle } = session;
    expect(await bench.store.revoke(handle)).toBe(true);
    expect(await bench.store.revoke(handle)).toBe(false);
    expect(await bench.store.load(id)).toBeUndefined();
    session.set('n', 1);
    await expect(session.save()).rejects.toThrow(SessionGoneError);
  });

  it.each(['', 'nope', '__proto__', '../../x', 'A'.repeat(22)])(
    'revoking %j, which is no handle of any session, is false and no error',
    async (handle) => {
      await bench.store.create();
      expect(await bench.store.revoke(handle)).toBe(false);
      expect(await bench.store.count()).toBe(1);
    },
  );

  it('revoking an expired one is false', async () => {
    const { handle } = await bench.store.create({ ttl: '1m' });
    passTime(60_000);
    expect(await bench.store.revoke(handle)).toBe(false);
  });

  it.each(['', undefined, null, 7, {}, ['ada']])(
    'asking for the sessions of %p, which is no user, is a clear error and never all of them (S30)',
    async (userId) => {
      await bench.store.create({ userId: 'ada' });
      await bench.store.create();
      for (const work of [
        () => bench.store.listByUser(userId as never),
        () => bench.store.destroyByUser(userId as never),
      ]) {
        const error = await failureOf(work);
        expect(error).toBeInstanceOf(SessionError);
        expect(error.message).toMatch(/user/i);
      }
      expect(await bench.store.count()).toBe(2);
    },
  );
});

describe.each(kinds)('a storage that answers with what is no list of records: %s', (kind) => {
  class Wrong extends MemoryStorage {
    records: any = null;
    override byUser() {
      return this.records;
    }
    override list() {
      return { records: this.records, cursor: undefined };
    }
  }

  it('has failed, if it gives no list (S49, S51)', async () => {
    const { store } = await open(kind, {}, storageOf(kind, new Wrong()));
    for (const work of [
      () => store.listByUser('ada'),
      () => store.destroyByUser('ada'),
      () => store.tapByUser('ada', () => undefined),
    ]) {
      expect(await failureOf(work)).toBeInstanceOf(SessionStorageError);
    }
  });

  it('what is no record of that user is none of his, nor ended as his (S33, S49)', async () => {
    const storage = new Wrong();
    const bench = await open(kind, {}, storageOf(kind, storage));
    const { handle } = await bench.store.create({ userId: 'ada' });
    const others = [await bench.store.create({ userId: 'grace' }), await bench.store.create()];
    const records = [handle, ...others.map((session) => session.handle)].map((each) => storage.read(each));
    storage.records = [null, undefined, 'text', {}, ...records];
    expect((await bench.store.listByUser('ada')).map((info) => info.handle)).toEqual([handle]);
    expect((await bench.store.list()).sessions).toHaveLength(3);
    expect(await bench.store.destroyByUser('ada')).toBe(1);
    expect(await bench.store.count()).toBe(2);
  });
});
