import type { SessionStorage } from '../../storage/session-storage.js';
import { runner } from '../runner.js';
import {
  atOnce,
  expectCount,
  expectUser,
  given,
  HOUR,
  newProof,
  pairsOf,
  type StorageBench,
  tally,
  times,
} from './bench.js';

const { describe, expect, it } = runner;

/** Several writers of one session at once, on one node. */
export function describeRaces(bench: StorageBench): void {
  describe('races', () => raceTests(bench, () => [bench.storage]));
}

/** The tests of races; the writers use the given nodes in turn. */
export function raceTests(bench: StorageBench, nodes: () => readonly SessionStorage[]): void {
  const node = (index: number) => nodes()[index % nodes().length];
  const numbered = (count: number) => Object.fromEntries(times(count, (i) => [`key${i}`, String(i)]));

  it('loses none of many updates of different keys', async () => {
    const record = await given(bench, { data: {} });
    const updates = times(
      25,
      (i) => () => node(i).update(record.handle, { set: { [`key${i}`]: String(i) } }),
    );
    expect(tally(await atOnce(...updates))).toEqual({ ok: 25 });
    for (const each of nodes()) {
      expect(await each.read(record.handle)).toEqual({ ...record, data: numbered(25) });
    }
  });

  it('lets a write, a removal, a touch and a login all win that name different things', async () => {
    const record = await given(bench, { data: { removed: '1', kept: '1' } });
    const touch = { touchedAt: record.touchedAt + 1, expiresAt: record.expiresAt + 60_000 };
    const login = { userId: 'ada', authenticatedAt: record.createdAt };
    const answers = await atOnce(
      () => node(0).update(record.handle, { set: { added: '1' } }),
      () => node(1).update(record.handle, { remove: ['removed'] }),
      () => node(2).update(record.handle, touch),
      () => node(3).update(record.handle, login),
    );
    expect(tally(answers)).toEqual({ ok: 4 });
    const data = { added: '1', kept: '1' };
    expect(await node(1).read(record.handle)).toEqual({ ...record, ...touch, ...login, data });
  });

  it('keeps one of the values, when several write the same keys', async () => {
    const { handle } = await given(bench, { data: {} });
    const pair = (i: number) => ({ left: String(i), right: String(i) });
    await atOnce(...times(10, (i) => () => node(i).update(handle, { set: pair(i) })));
    const data = (await node(0).read(handle))?.data;
    expect(data?.left).toBe(data?.right);
    expect(pairsOf(data).length).toBe(2);
  });

  it('has no touch in conflict with plain writes, nor a plain write with a touch', async () => {
    const record = await given(bench, { userId: 'ada', ttl: 9_000, data: {} });
    const { handle, proof, ttl, userId } = record;
    const expected = { proof, ttl, userId };
    const expiresAt = (i: number) => record.expiresAt + 1_000 + i;
    const writes = times(
      20,
      (i) => () => node(i).update(handle, { set: { [`key${i}`]: String(i) }, expected: { userId } }),
    );
    const touches = times(
      20,
      (i) => () => node(i + 1).update(handle, { touchedAt: i, expiresAt: expiresAt(i), expected }),
    );
    const mixed = writes.flatMap((write, i) => [write, touches[i]]);
    expect(tally(await atOnce(...mixed))).toEqual({ ok: 40 });
    const found = await node(0).read(handle);
    expect(found?.data).toEqual(numbered(20));
    expect(found?.expiresAt).toBe(expiresAt(found!.touchedAt));
  });

  it('has no rotation in conflict with plain writes (S14)', async () => {
    const { handle, proof } = await given(bench, { data: {} });
    const rotated = newProof();
    const tasks = times(
      20,
      (i) => () => node(i).update(handle, { set: { [`key${i}`]: String(i) }, expected: { userId: null } }),
    );
    tasks.splice(10, 0, () => node(1).update(handle, { proof: rotated, expected: { proof } }));
    expect(tally(await atOnce(...tasks))).toEqual({ ok: 21 });
    const found = await node(0).read(handle);
    expect([found?.proof, found?.data]).toEqual([rotated, numbered(20)]);
  });

  it('leaves one proof, when several rotate at once (S14)', async () => {
    const { handle, proof } = await given(bench);
    const proofs = times(8, newProof);
    const answers = await atOnce(
      ...proofs.map((next, i) => () => node(i).update(handle, { proof: next, expected: { proof } })),
    );
    expect(tally(answers)).toEqual({ ok: 1, conflict: 7 });
    expect((await node(0).read(handle))?.proof).toBe(proofs[answers.indexOf('ok')]);
  });

  it('lets one user in, when several log in at once as different ones (S11)', async () => {
    const { handle, proof } = await given(bench, { data: {} });
    const users = times(6, (i) => `user${i}`);
    const answers = await atOnce(
      ...users.map((userId, i) => () => {
        const expected = { proof, userId: null };
        return node(i).update(handle, { proof: newProof(), userId, set: { name: userId }, expected });
      }),
    );
    expect(tally(answers)).toEqual({ ok: 1, conflict: 5 });
    const winner = users[answers.indexOf('ok')];
    const found = await node(0).read(handle);
    expect([found?.userId, found?.data]).toEqual([winner, { name: winner }]);
    for (const userId of users) await expectUser(bench, userId, userId === winner ? [{ handle }] : []);
  });

  it('keeps the writes of a visitor out of the session of who logged in meanwhile (S56)', async () => {
    const { handle, proof } = await given(bench, { data: {} });
    const tasks = times(
      20,
      (i) => () => node(i).update(handle, { set: { [`key${i}`]: '1' }, expected: { userId: null } }),
    );
    const login = { proof: newProof(), userId: 'ada', remove: times(20, (i) => `key${i}`) };
    tasks.splice(10, 0, () => node(1).update(handle, { ...login, expected: { proof } }));
    const answers = await atOnce(...tasks);
    expect(answers[10]).toBe('ok');
    expect(answers.filter((answer) => answer !== 'ok' && answer !== 'conflict')).toEqual([]);
    const found = await node(0).read(handle);
    expect([found?.userId, found?.data]).toEqual(['ada', {}]);
  });

  it('ends a session for its user, or leaves it to the next, when the two meet (S30)', async () => {
    for (let place = 0; place < 4; place++) {
      const { handle } = await given(bench, { userId: 'ada' });
      const expected = { userId: 'ada' };
      const tasks: (() => unknown)[] = [() => node(place).update(handle, { userId: 'bob', expected })];
      tasks.splice(place % 2, 0, () => node(place + 1).destroy(handle, expected));
      const answers = await atOnce(...tasks);
      const [destroyed, update] = place % 2 === 0 ? answers : answers.toReversed();
      expect(update).toBe(destroyed === true ? 'gone' : 'ok');
      expect((await node(0).read(handle))?.userId).toBe(destroyed === true ? undefined : 'bob');
      await bench.storage.destroy(handle);
    }
  });

  it('never brings a session back, in whatever order a destroy meets updates (S27)', async () => {
    for (let place = 0; place <= 4; place++) {
      const { handle } = await given(bench, { userId: 'ada' });
      const tasks: (() => unknown)[] = times(4, (i) => () => {
        return node(i).update(handle, { set: { [`k${i}`]: '1' }, expiresAt: bench.clock.now() + 2 * HOUR });
      });
      tasks.splice(place, 0, () => node(place + 1).destroy(handle));
      const answers = await atOnce(...tasks);
      expect(answers[place]).toBe(true);
      expect(answers.every((answer) => answer === true || answer === 'ok' || answer === 'gone')).toBe(true);
      expect(await node(0).read(handle)).toBeUndefined();
      expect(await node(1).update(handle, { touchedAt: 1 })).toBe('gone');
    }
    await expectUser(bench, 'ada', [], node(0));
    await expectCount(bench, 0, node(1));
  });
}
