import type { SessionStorage } from '../../storage/session-storage.js';
import { runner } from '../runner.js';
import { atOnce, given, pairsOf, tally, times, type StorageBench } from './storage-bench.js';

const { describe, expect, it } = runner;

/** Several writers of one session at once, on one node. */
export function describeRaces(bench: StorageBench): void {
  describe('races', () => raceTests(bench, () => [bench.storage]));
}

/** The tests of races; the writers use the given nodes in turn. */
export function raceTests(bench: StorageBench, nodes: () => readonly SessionStorage[]): void {
  const node = (index: number) => nodes()[index % nodes().length];

  it('loses none of many updates of different keys', async () => {
    const { handle } = await given(bench, { data: {} });
    const updates = times(25, (i) => () => node(i).update(handle, { set: { [`key${i}`]: String(i) } }));
    expect(tally(await atOnce(...updates))).toEqual({ ok: 25 });
    for (let i = 0; i < nodes().length; i++) {
      const found = await node(i).read(handle);
      expect(found?.version).toBe(26);
      expect(found?.data).toEqual(Object.fromEntries(times(25, (key) => [`key${key}`, String(key)])));
    }
  });

  it('lets a write, a removal, a touch and a login all win that name different things', async () => {
    const record = await given(bench, { data: { removed: '1', kept: '1' } });
    const expiresAt = record.expiresAt + 60_000;
    const answers = await atOnce(
      () => node(0).update(record.handle, { set: { added: '1' } }),
      () => node(1).update(record.handle, { remove: ['removed'] }),
      () => node(2).update(record.handle, { touchedAt: record.touchedAt + 1, expiresAt }),
      () => node(3).update(record.handle, { userId: 'ada', authenticatedAt: record.createdAt }),
    );
    expect(tally(answers)).toEqual({ ok: 4 });
    expect(await node(1).read(record.handle)).toEqual({
      ...record,
      version: 5,
      touchedAt: record.touchedAt + 1,
      expiresAt,
      userId: 'ada',
      authenticatedAt: record.createdAt,
      data: { added: '1', kept: '1' },
    });
  });

  it('keeps one of the values, when several write the same key', async () => {
    const { handle } = await given(bench, { data: {} });
    const pair = (i: number) => ({ left: String(i), right: String(i) });
    await atOnce(...times(10, (i) => () => node(i).update(handle, { set: pair(i) })));
    const data = (await node(0).read(handle))?.data;
    expect(data?.left).toBe(data?.right);
    expect(pairsOf(data).length).toBe(2);
  });

  it('has exactly one winner among many that expect the same version', async () => {
    const { handle } = await given(bench, { data: {} });
    const updates = times(12, (i) => async () => {
      return node(i).update(handle, { set: { winner: String(i) }, expectedVersion: 1 });
    });
    const answers = await atOnce(...updates);
    expect(tally(answers)).toEqual({ ok: 1, conflict: 11 });
    const found = await node(1).read(handle);
    expect([found?.data.winner, found?.version]).toEqual([String(answers.indexOf('ok')), 2]);
  });

  it('counts right, when many count by reading, expecting and trying again', async () => {
    const { handle } = await given(bench, { data: { n: '0' } });
    const countUp = async (storage: SessionStorage) => {
      for (;;) {
        const found = await storage.read(handle);
        const set = { n: String(Number(found!.data.n) + 1) };
        if ((await storage.update(handle, { set, expectedVersion: found!.version })) === 'ok') return;
      }
    };
    await atOnce(...times(6, (i) => () => countUp(node(i))));
    expect((await node(0).read(handle))?.data.n).toBe('6');
  });

  it('leaves one proof, when two rotate at once (S14)', async () => {
    const { handle } = await given(bench);
    const proofs = ['a'.repeat(43), 'b'.repeat(43)];
    const answers = await atOnce(
      ...proofs.map((proof, i) => () => node(i).update(handle, { proof, expectedVersion: 1 })),
    );
    expect(tally(answers)).toEqual({ ok: 1, conflict: 1 });
    expect((await node(0).read(handle))?.proof).toBe(proofs[answers.indexOf('ok')]);
  });

  it('never brings a session back, in whatever order a destroy meets updates (S27)', async () => {
    for (let place = 0; place <= 4; place++) {
      const { handle } = await given(bench, { userId: 'ada' });
      const tasks: (() => unknown)[] = times(
        4,
        (i) => () => node(i).update(handle, { set: { [`k${i}`]: '1' } }),
      );
      tasks.splice(place, 0, () => node(place + 1).destroy(handle));
      const answers = await atOnce(...tasks);
      expect(answers[place]).toBe(true);
      expect(answers.every((answer) => answer === true || answer === 'ok' || answer === 'gone')).toBe(true);
      expect(await node(0).read(handle)).toBeUndefined();
      expect(await node(1).update(handle, { touchedAt: 1 })).toBe('gone');
    }
    expect(await node(0).byUser('ada')).toEqual([]);
    expect(await node(1).count()).toBe(0);
  });
}
