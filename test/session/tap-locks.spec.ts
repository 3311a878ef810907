import { describe, expect, it } from '@jest/globals';
import { SessionLockError } from '../../src/index.js';
import { Gate, settle } from '../support/gate.js';
import { failureOf, kinds, loaded, open, stored } from '../support/session-bench.js';

describe.each(kinds)('the limits of a lock (S54): %s', (kind) => {
  it('who waits longer than lock.wait gets a clear error, and its fn does not run', async () => {
    const bench = await open(kind, { lock: { wait: '40ms' } });
    const session = await bench.store.create({ data: { n: 1 } });
    const gate = new Gate();
    let ran = false;
    const first = session.tap((data) => gate.pass().then(() => ++data.n));
    await gate.reached();
    const error = await failureOf(() => bench.store.tap(session.id, () => void (ran = true)));
    expect(error).toBeInstanceOf(SessionLockError);
    expect(error.message).toContain(session.handle);
    expect(error.message).toMatch(/wait/);
    gate.open();
    expect(await first).toBe(2);
    await settle();
    expect(ran).toBe(false);
    expect(await session.tap((data) => ++data.n)).toBe(3);
  });

  it('a plain number of lock.wait is seconds', async () => {
    const bench = await open(kind, { lock: { wait: 0.04 } });
    const session = await bench.store.create();
    const gate = new Gate();
    const first = session.tap(() => gate.pass());
    await gate.reached();
    await expect(session.tap(() => 1)).rejects.toThrow(SessionLockError);
    gate.open();
    await first;
  });

  it('after lock.hold the next in line runs, and the late holder cannot write', async () => {
    const bench = await open(kind, { lock: { hold: '40ms' } });
    const session = await bench.store.create({ data: { n: 1, late: false } });
    const late = await loaded(bench, session.id);
    const gate = new Gate();
    const first = failureOf(() =>
      late.tap(async (data) => {
        await gate.pass();
        data.n = 100;
        data.late = true;
      }),
    );
    await gate.reached();
    expect(await session.tap((data) => ++data.n)).toBe(2);
    gate.open();
    const error = await first;
    expect(error).toBeInstanceOf(SessionLockError);
    expect(error.message).toContain(session.handle);
    expect(stored(bench, session)).toEqual({ n: 2, late: false });
    expect(late.get('late')).toBe(false);
    expect(bench.events.map(({ type }) => type)).toContain('conflict');
  });

  it('a late holder cannot write while the next one is at it, nor let a third in', async () => {
    const bench = await open(kind, { lock: { hold: '60ms' } });
    const session = await bench.store.create({ data: { order: [] } });
    const [lateGate, gate] = [new Gate(), new Gate()];
    const late = failureOf(() =>
      session.tap(async (data) => {
        await lateGate.pass();
        data.order.push('late');
      }),
    );
    await lateGate.reached();
    const second = bench.store.tap(session.id, async (data) => {
      await gate.pass();
      data.order.push('second');
    });
    await gate.reached();
    let third = false;
    const last = bench.store.tap(session.id, (data) => {
      third = true;
      data.order.push('third');
    });
    lateGate.open();
    expect(await late).toBeInstanceOf(SessionLockError);
    expect(third).toBe(false);
    gate.open();
    await Promise.all([second, last]);
    expect(stored(bench, session)).toEqual({ order: ['second', 'third'] });
  });
});
