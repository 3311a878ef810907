import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import { SessionConflictError, SessionGoneError } from '../../src/index.js';
import { freezeTime, unfreezeTime } from '../support/clock.js';
import { Gate, settle } from '../support/gate.js';
import {
  type AnySession,
  type Bag,
  type Bench,
  failureOf,
  kinds,
  loaded,
  open,
  secondNode,
  stored,
} from '../support/session-bench.js';

/*
 * A holder came with the id of before, and meanwhile somebody logged in, out, or in as another user, here or on another
 * node. From then on it is outside, as if the session had ended: an id that was planted must never act as the user.
 */
describe.each(kinds)('a session that changed hands: %s', (kind) => {
  let bench: Bench;
  let planted: AnySession;
  let victim: AnySession;

  beforeEach(async () => {
    bench = await open(kind);
    const { id } = await bench.store.create({ data: { n: 1 } });
    planted = await loaded(bench, id);
    victim = await loaded(await secondNode(kind, bench), id);
  });

  it.each<[hands: string, change: () => Promise<unknown>]>([
    ['a login', () => victim.login('ada')],
    ['a login as somebody else', () => victim.login('ada').then(() => victim.login('grace'))],
    ['a logout', () => victim.logout()],
  ])(
    'after %s the holder of before writes nothing, sees nothing newer, and is told (S56)',
    async (_hands, change) => {
      expect(planted.get('n')).toBe(1);
      await change();
      if (victim.userId) await bench.store.tap(victim.id, (data) => void (data.n = 'the user’s'));
      bench.events.length = 0;
      planted.set('evil', true);
      await expect(planted.save()).rejects.toThrow(SessionGoneError);
      await expect(planted.regenerate()).rejects.toThrow(SessionGoneError);
      const fn = jest.fn<(data: Bag) => void>();
      await expect(planted.tap(fn)).rejects.toThrow(SessionGoneError);
      expect(fn).not.toHaveBeenCalled();
      expect([planted.userId, planted.get('n')]).toEqual([undefined, 1]);
      expect(bench.events[0]).toMatchObject({ type: 'gone', handle: planted.handle });
      if (victim.userId) expect(stored(bench, victim)).toEqual({ n: 'the user’s' });
      else expect(await bench.store.isEmpty()).toBe(true);
    },
  );

  it('a save that has nothing to write is told as well (S56)', async () => {
    await victim.login('ada');
    await expect(planted.save()).rejects.toThrow(SessionGoneError);
    await expect(planted.start()).rejects.toThrow(SessionGoneError);
  });

  it('a save that has nothing to write but its use is told as well (S56)', async () => {
    await victim.login('ada');
    const later = Date.now() + 2 * 60_000;
    freezeTime();
    try {
      jest.setSystemTime(later);
      await expect(planted.save()).rejects.toThrow(SessionGoneError);
    } finally {
      unfreezeTime();
    }
  });

  it('a change of the timeout does not land (S56)', async () => {
    await victim.login('ada');
    planted.expireIn('365d');
    await expect(planted.save()).rejects.toThrow(SessionGoneError);
    expect(bench.probe.peek(victim.handle)!.ttl).toBeUndefined();
  });

  it('a logout of the holder of before ends nothing, and the user stays (S56)', async () => {
    await victim.login('ada');
    await planted.logout();
    expect((await loaded(bench, victim.id)).userId).toBe('ada');
  });

  it('a login of the user who is in counts as done: a double click is no error (S14)', async () => {
    const old = planted.id;
    await victim.login('ada');
    await planted.login('ada');
    expect([planted.userId, planted.id]).toEqual(['ada', old]);
    expect(await bench.store.load(old)).toBeUndefined();
    expect((await loaded(bench, victim.id)).userId).toBe('ada');
  });

  it('a login that counts as done keeps its timeout: the later one decides who is remembered', async () => {
    await victim.login('ada', { ttl: '30d' });
    await planted.login('ada', { ttl: '1h' });
    expect(planted.ttl).toBe(3_600);
    await planted.save();
    expect(bench.probe.peek(victim.handle)).toMatchObject({ userId: 'ada', ttl: 3_600_000 });
    expect((await loaded(bench, victim.id)).ttl).toBe(3_600);
  });

  it('a login of another user takes nothing from the one who is in, also once it is known (S14)', async () => {
    await victim.login('ada');
    await expect(planted.login('grace')).rejects.toThrow(SessionConflictError);
    await expect(planted.save()).rejects.toThrow(SessionGoneError);
    await expect(planted.login('grace')).rejects.toThrow(SessionConflictError);
    expect((await loaded(bench, victim.id)).userId).toBe('ada');
  });

  it('a tap that was inside when the user logged in saves nothing (S56)', async () => {
    const gate = new Gate();
    const tapping = failureOf(() => planted.tap((data) => gate.pass().then(() => void (data.n = 'evil'))));
    await gate.reached();
    await victim.login('ada');
    gate.open();
    expect(await tapping).toBeInstanceOf(SessionGoneError);
    expect(stored(bench, victim)).toEqual({ n: 1 });
  });

  it('a write that is under way when the user logs in is dropped (S56)', async () => {
    const gate = bench.probe.hold('update', { times: 1 });
    planted.set('evil', true);
    const saving = failureOf(() => planted.save());
    await gate.reached();
    await victim.login('ada');
    gate.open();
    expect(await saving).toBeInstanceOf(SessionGoneError);
    expect(stored(bench, victim)).toEqual({ n: 1 });
  });

  it('what waited in line for a lock does not run once its id is dead, in whatever way it died (S57)', async () => {
    const gate = new Gate();
    const holding = victim.tap(() => gate.pass());
    await gate.reached();
    const fn = jest.fn<(data: Bag) => void>();
    const waiting = Promise.allSettled([planted.tap(fn), bench.store.tap(planted.id, fn)]);
    await settle();
    await (await loaded(bench, planted.id)).login('ada');
    gate.open();
    await holding.catch(() => undefined);
    const outcomes = await waiting;
    expect(outcomes.map((each) => (each as PromiseRejectedResult).reason.code)).toEqual([
      'ERR_SESSION_GONE',
      'ERR_SESSION_GONE',
    ]);
    expect(fn).not.toHaveBeenCalled();
  });

  it('destroyByUser leaves the session of another who logged in on it meanwhile (S30)', async () => {
    await victim.login('ada');
    const gate = bench.probe.hold('byUser', { times: 1 });
    const records = bench.probe.peek(victim.handle)!;
    const ending = bench.store.destroyByUser('ada');
    await gate.reached();
    gate.open();
    const destroying = bench.probe.hold('destroy', { times: 1 });
    await destroying.reached();
    await victim.login('grace');
    destroying.open();
    expect(records.userId).toBe('ada');
    expect(await ending).toBe(0);
    expect((await loaded(bench, victim.id)).userId).toBe('grace');
  });

  it('a rotation by the same holder’s other request is no change of hands: plain writes land', async () => {
    await victim.regenerate();
    planted.set('n', 2);
    await planted.save();
    expect(stored(bench, victim)).toEqual({ n: 2 });
  });
});

describe.each(kinds)('requests of one session at once: %s', (kind) => {
  it('a login is not starved by any number of writers (S11)', async () => {
    const bench = await open(kind);
    const { id } = await bench.store.create({ data: { n: 0 } });
    const state = { writing: true };
    const writers = Array.from({ length: 20 }, async (_, i) => {
      const session = await loaded(bench, id);
      while (state.writing) {
        session.set(`by${i}`, Math.random());
        await session.save().catch(() => (state.writing = false));
        await settle(1);
      }
    });
    const session = await loaded(bench, id);
    bench.probe.forget();
    await session.login('ada');
    const rotations = bench.probe.of('update').filter(({ args }) => args[1].proof !== undefined);
    expect(rotations).toHaveLength(1);
    state.writing = false;
    await Promise.all(writers);
    expect((await loaded(bench, session.id)).userId).toBe('ada');
  });

  it('login and expireIn refuse a wrong timeout in the same way as a wrong user: by rejecting', async () => {
    const bench = await open(kind);
    const session = await bench.store.create();
    const promise = session.login('ada', { ttl: 'never' });
    await expect(promise).rejects.toThrow(/login: ttl/);
    await expect(session.login('')).rejects.toThrow(/non-empty/);
    expect(session.userId).toBeUndefined();
  });

  it('users are well-formed Unicode: two of them never become one on the way to a storage (S59)', async () => {
    const bench = await open(kind);
    for (const user of ['a\ud800', '\udfffa', 'a\ud800b']) {
      const session = await bench.store.create();
      await expect(session.login(user)).rejects.toThrow(/well-formed/);
      await expect(bench.store.create({ userId: user })).rejects.toThrow(/well-formed/);
      await expect(bench.store.listByUser(user)).rejects.toThrow(/well-formed/);
      await expect(bench.store.destroyByUser(user)).rejects.toThrow(/well-formed/);
    }
    const session = await bench.store.create({ userId: '👩‍💻' });
    expect((await bench.store.listByUser('👩‍💻')).map(({ handle }) => handle)).toEqual([session.handle]);
  });
});
