import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  SessionConflictError,
  SessionExistsError,
  SessionLimitError,
  SessionLockError,
  type SessionModuleOptions,
  SessionStorageError,
} from '../../src/index.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { settle } from '../support/gate.js';
import {
  type AnySession,
  type Bench,
  failureOf,
  kinds,
  loaded,
  open,
  secondNode,
  visitor,
} from '../support/session-bench.js';

beforeEach(freezeTime);
afterEach(unfreezeTime);

describe.each(kinds)('the sessions of a user, as many as there may be: %s', (kind) => {
  let bench: Bench;

  const limited = async (options: SessionModuleOptions) => (bench = await open(kind, options));

  /** A visitor with a session of theirs, as a request of its own has it. */
  const visitorWith = async (data: object, on = bench): Promise<AnySession> =>
    loaded(on, (await on.store.create({ data })).id);

  const handles = async (userId = 'ada') =>
    (await bench.store.listByUser(userId)).map(({ handle }) => handle).toSorted();

  /** Sessions of ada, the one that was used longest ago first. */
  async function sessions(count: number): Promise<AnySession[]> {
    const made: AnySession[] = [];
    for (let i = 0; i < count; i++) {
      passTime(1_000);
      made.push(await bench.store.create({ userId: 'ada', data: { i } }));
    }
    passTime(1_000);
    bench.events.length = 0;
    return made;
  }

  it('are exactly that many after any number of parallel logins over two nodes, and never more (S66)', async () => {
    await limited({ maxPerUser: 3 });
    const nodes = [bench, await secondNode(kind, bench, { maxPerUser: 3 })];
    const visitors = await Promise.all(
      Array.from({ length: 20 }, (_, i) => visitorWith({ i }, nodes[i % 2])),
    );
    for (const node of nodes) node.events.length = 0;
    const alive = new Set<string>();
    let most = 0;
    for (const { store } of nodes) {
      store.events.subscribe(({ type, handle, userId }) => {
        if (type === 'rotated' && userId === 'ada') alive.add(handle!);
        if (type === 'destroyed') alive.delete(handle!);
        most = Math.max(most, alive.size);
      });
    }
    await Promise.all(visitors.map((session) => session.login('ada')));
    expect([await handles(), most]).toEqual([[...alive].toSorted(), 3]);
    const ended = nodes.flatMap(({ events }) => events.filter(({ type }) => type === 'destroyed'));
    expect(ended).toHaveLength(17);
    expect(ended[0]).toMatchObject({ userId: 'ada', handle: expect.any(String) });
  });

  it('are that many as well where new visitors log in and services create sessions (S66)', async () => {
    await limited({ maxPerUser: 2 });
    const nodes = [bench, await secondNode(kind, bench, { maxPerUser: 2 })];
    const logins = Array.from({ length: 5 }, async (_, i) => (await visitor(nodes[i % 2]!)).login('ada'));
    const created = Array.from({ length: 5 }, (_, i) => nodes[i % 2]!.store.create({ userId: 'ada' }));
    await Promise.all([...logins, ...created]);
    expect(await handles()).toHaveLength(2);
    expect(await bench.store.count()).toBe(2);
  });

  it('those that were used longest ago end, whenever they logged in', async () => {
    await limited({ maxPerUser: 3, touchAfter: 0 });
    const [first, second, third] = await sessions(3);
    await (await loaded(bench, first!.id)).save();
    passTime(1_000);
    const next = await bench.store.create({ userId: 'ada' });
    expect(await handles()).toEqual([first!, third!, next].map(({ handle }) => handle).toSorted());
    expect(bench.events.filter(({ type }) => type === 'destroyed')).toEqual([
      { type: 'destroyed', handle: second!.handle, userId: 'ada', at: new Date() },
    ]);
    expect(await bench.store.load(second!.id)).toBeUndefined();
  });

  it('a limit that was lowered ends as many as there are too many', async () => {
    await limited({});
    await sessions(5);
    bench = await secondNode(kind, bench, { maxPerUser: 2 });
    await bench.store.create({ userId: 'ada' });
    expect(await handles()).toHaveLength(2);
  });

  it('a session on which its user logs in again counts once', async () => {
    await limited({ maxPerUser: 2 });
    const [, last] = await sessions(2);
    const before = await handles();
    const again = await loaded(bench, last!.id);
    await again.login('ada');
    await again.login('ada');
    expect(await handles()).toEqual(before);
    expect(bench.events.map(({ type }) => type)).toEqual(['rotated', 'rotated']);
  });

  it('a limit that was lowered does not refuse a user who logs in again on the same session', async () => {
    await limited({});
    const [first] = await sessions(3);
    bench = await secondNode(kind, bench, { maxPerUser: 2, whenExceeded: 'refuse' });
    const again = await loaded(bench, first!.id);
    await again.login('ada');
    expect([again.userId, again.authenticatedAt]).toEqual(['ada', new Date()]);
    await expect((await visitorWith({})).login('ada')).rejects.toThrow(SessionLimitError);
    expect(await handles()).toHaveLength(3);
  });

  it('a double click counts once, whichever node it is sent to', async () => {
    await limited({ maxPerUser: 2, whenExceeded: 'refuse' });
    const other = await secondNode(kind, bench, { maxPerUser: 2, whenExceeded: 'refuse' });
    await sessions(1);
    const { id, handle } = await visitorWith({});
    const clicks = await Promise.all([bench, bench, other, other].map((node) => loaded(node, id)));
    await Promise.all(clicks.map((session) => session.login('ada')));
    expect(clicks.map(({ userId }) => userId)).toEqual(['ada', 'ada', 'ada', 'ada']);
    expect(await handles()).toHaveLength(2);
    expect(await handles()).toContain(handle);
  });

  it('expired ones do not count, nor those past the absolute timeout (S25, S66)', async () => {
    await limited({ maxPerUser: 1, whenExceeded: 'refuse', absoluteTtl: '2h' });
    await bench.store.create({ userId: 'ada', ttl: '1m' });
    passTime(60_000);
    const { id } = await bench.store.create({ userId: 'ada', ttl: '1d' });
    await expect(bench.store.create({ userId: 'ada' })).rejects.toThrow(SessionLimitError);
    passTime(2 * 3_600_000);
    await bench.store.create({ userId: 'ada' });
    expect(await bench.store.load(id)).toBeUndefined();
    expect(await handles()).toHaveLength(1);
  });

  it('those of others and of visitors do not count, and a user who logs in as another makes room', async () => {
    await limited({ maxPerUser: 1, whenExceeded: 'refuse' });
    await bench.store.create();
    const session = await bench.store.create({ userId: 'ada' });
    await bench.store.create({ userId: 'grace' });
    await expect(session.login('grace')).rejects.toThrow(SessionLimitError);
    await session.login('katherine');
    await bench.store.create({ userId: 'ada' });
    expect([await handles('ada'), await handles('grace'), await handles('katherine')].flat()).toHaveLength(3);
  });

  it('a refusal leaves the visitor as they were: not logged in, under the same id, with their data', async () => {
    await limited({ maxPerUser: 1, whenExceeded: 'refuse' });
    await sessions(1);
    const session = await visitorWith({ cart: ['tea'] });
    const { id, ttl } = session;
    session.set('n', 1);
    const error = await failureOf(() => session.login('ada', { ttl: '30d' }));
    expect(error).toBeInstanceOf(SessionLimitError);
    expect([error.code, error.getStatus()]).toEqual(['ERR_SESSION_LIMIT', 409]);
    expect(error.message).toContain(session.handle);
    expect(error.message).toMatch(/maxPerUser allows \(1\)/);
    expect([session.id, session.userId, session.ttl]).toEqual([id, undefined, ttl]);
    await session.save();
    expect((await loaded(bench, id)).toJSON()).toEqual({ cart: ['tea'], n: 1 });
    expect(await handles()).toHaveLength(1);
  });

  it('a refusal stores nothing for a new visitor, whose id stays', async () => {
    await limited({ maxPerUser: 1, whenExceeded: 'refuse' });
    await sessions(1);
    const session = await visitor(bench);
    const { id, ttl } = session;
    await expect(session.login('ada', { ttl: '30d' })).rejects.toThrow(SessionLimitError);
    expect([session.id, session.ttl, session.isNew, await bench.store.count()]).toEqual([id, ttl, true, 1]);
    await expect(bench.store.create({ userId: 'ada' })).rejects.toThrow(SessionLimitError);
    expect(await bench.store.count()).toBe(1);
  });

  it.each(['end-oldest', 'refuse'] as const)(
    'an id of one’s own that is taken ends nothing: %s',
    async (how) => {
      await limited({ maxPerUser: 1, whenExceeded: how });
      await sessions(1);
      const id = 'own-id-of-nobody_0123456789';
      await bench.store.create({ id, data: { n: 1 } });
      const before = await handles();
      await expect(bench.store.create({ id, userId: 'ada' })).rejects.toThrow(SessionExistsError);
      expect(await handles()).toEqual(before);
      expect((await loaded(bench, id)).get('n')).toBe(1);
    },
  );

  it('a login that comes second to that of another user ends nothing', async () => {
    await limited({ maxPerUser: 1 });
    await sessions(1);
    const before = await handles();
    const { id } = await visitorWith({});
    const late = await loaded(bench, id);
    await (await loaded(bench, id)).login('grace');
    await expect(late.login('ada')).rejects.toThrow(SessionConflictError);
    expect(await handles()).toEqual(before);
  });

  it('a login on a session that ended while it waited starts a new one, which counts', async () => {
    await limited({ maxPerUser: 2 });
    await sessions(2);
    const { id } = await visitorWith({});
    const session = await loaded(bench, id);
    const gate = bench.probe.hold('update', { times: 1 });
    const login = session.login('ada');
    await gate.reached();
    await bench.store.destroy(id);
    gate.open();
    await login;
    expect(await handles()).toHaveLength(2);
    expect(await handles()).toContain(session.handle);
  });

  it('a storage that fails to count them is a 503, leaves all as it was, and keeps nobody waiting', async () => {
    await limited({ maxPerUser: 1 });
    await sessions(1);
    const session = await visitorWith({});
    const { id } = session;
    for (const method of ['byUser', 'destroy', 'update'] as const) {
      bench.probe.fail(method, { times: 1 });
      await expect(session.login('ada')).rejects.toThrow(SessionStorageError);
      expect([session.id, session.userId]).toEqual([id, undefined]);
    }
    await session.login('ada');
    expect(await handles()).toEqual([session.handle]);
  });

  it('who logs in waits for logins of the same user alone', async () => {
    await limited({ maxPerUser: 1 });
    const gate = bench.probe.hold('byUser', { times: 1 });
    const first = bench.store.create({ userId: 'ada' });
    await gate.reached();
    const second = bench.store.create({ userId: 'ada' });
    await bench.store.create({ userId: 'grace' });
    await settle();
    expect(await bench.store.count()).toBe(1);
    gate.open();
    await Promise.all([first, second]);
    expect(await handles()).toEqual([(await second).handle]);
  });

  it('who lost the turn while the storage was slow logs nobody in (S54)', async () => {
    await limited({ maxPerUser: 1, lock: { wait: '5s', hold: '10ms' } });
    const session = await visitorWith({});
    const gate = bench.probe.hold('byUser', { times: 1 });
    const login = failureOf(() => session.login('ada'));
    await gate.reached();
    await bench.store.create({ userId: 'ada' });
    await new Promise((resolve) => setTimeout(resolve, 20));
    gate.open();
    expect(await login).toBeInstanceOf(SessionLockError);
    expect(session.userId).toBeUndefined();
    await session.login('ada');
    expect(await handles()).toEqual([session.handle]);
  });

  it('without a limit a login takes no lock and counts nothing', async () => {
    await limited({});
    const session = await visitorWith({});
    bench.probe.forget();
    await session.login('ada');
    await bench.store.create({ userId: 'ada' });
    expect(bench.probe.names).toEqual(['update', 'create']);
  });
});
