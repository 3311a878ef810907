import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import { SessionError, SessionGoneError, SessionLockError, SessionTooLargeError } from '../../src/index.js';
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
  visitor,
} from '../support/session-bench.js';

describe.each(kinds)('tap: %s', (kind) => {
  let bench: Bench;
  let session: AnySession;

  beforeEach(async () => {
    bench = await open(kind);
    const { id } = await bench.store.create({ data: { n: 1, nested: { list: [1], keep: true } } });
    session = await loaded(bench, id);
  });

  const another = () => loaded(bench, session.id);

  it.each<[title: string, fn: (data: Bag) => unknown]>([
    ['a value', (data) => data.n],
    ['a promise', async (data) => (await Promise.resolve(), data.n)],
    // oxlint-disable-next-line unicorn/no-thenable -- any PromiseLike will do
    ['a thenable', (data) => ({ then: (done: (value: unknown) => void) => done(data.n) })],
  ])('gives what fn returned: %s', async (_title, fn) => {
    expect(await session.tap(fn)).toBe(1);
    expect(await bench.store.tap(session.id, fn)).toBe(1);
  });

  it('saves the changes, and afterwards the session shows them', async () => {
    await session.tap(async (data) => {
      data.n++;
      await settle(2);
      data.nested.list.push(2);
      data.added = { deep: null };
    });
    const expected = { n: 2, nested: { list: [1, 2], keep: true }, added: { deep: null } };
    expect(session.toJSON()).toEqual(expected);
    expect(stored(bench, session)).toEqual(expected);
    await session.save();
    expect(stored(bench, session)).toEqual(expected);
  });

  it('a key that fn deletes is gone, a nested value that it replaces is replaced', async () => {
    await session.tap((data) => {
      delete data.n;
      data.nested = { other: 1 };
    });
    expect(session.has('n')).toBe(false);
    expect(session.keys()).toEqual(['nested']);
    expect(session.toJSON()).toEqual({ nested: { other: 1 } });
    expect(stored(bench, session)).toEqual({ nested: { other: 1 } });
  });

  it('a key that fn sets to undefined is gone', async () => {
    await session.tap((data) => void (data.n = undefined));
    expect(session.has('n')).toBe(false);
    expect(Object.keys(stored(bench, session)!)).toEqual(['nested']);
  });

  it('data is fresh: what another holder has saved meanwhile is in it', async () => {
    expect(session.get('n')).toBe(1);
    const other = await another();
    other.set('n', 5);
    other.remove('nested');
    await other.save();
    expect(await session.tap((data) => ({ ...data }))).toEqual({ n: 5 });
    expect(session.toJSON()).toEqual({ n: 5 });
    expect(stored(bench, session)).toEqual({ n: 5 });
  });

  it('what was written before and not saved is part of data, and saved with it', async () => {
    session.set('pending', 1);
    session.set('nested.list[1]', 2);
    session.remove('n');
    const seen = await session.tap((data) => {
      const before = structuredClone(data);
      data.tapped = true;
      return before;
    });
    expect(seen).toEqual({ pending: 1, nested: { list: [1, 2], keep: true } });
    expect(stored(bench, session)).toEqual({ ...seen, tapped: true });
  });

  it('what was changed in place before is part of data, and saved with it', async () => {
    session.get('nested').list.push(2);
    expect(await session.tap((data) => data.nested.list.length)).toBe(2);
    expect(stored(bench, session)).toMatchObject({ nested: { list: [1, 2] } });
  });

  it('a tap that changes nothing leaves the data as it is', async () => {
    const before = bench.probe.peek(session.handle)!.data;
    await session.tap(() => undefined);
    expect(bench.probe.peek(session.handle)!.data).toEqual(before);
    expect(session.get('n')).toBe(1);
  });

  it.each<[title: string, fail: (error: Error) => unknown]>([
    [
      'throws',
      (error) => {
        throw error;
      },
    ],
    ['rejects', (error) => Promise.reject(error)],
  ])('if fn %s, nothing is saved, the error comes through, and the next tap runs (S54)', async (_t, fail) => {
    const before = bench.probe.peek(session.handle);
    const error = new Error('out of stock');
    await expect(
      session.tap((data) => {
        data.n = 99;
        data.nested.list.push(99);
        return fail(error);
      }),
    ).rejects.toBe(error);
    expect(bench.probe.peek(session.handle)).toEqual(before);
    expect(session.toJSON()).toEqual({ n: 1, nested: { list: [1], keep: true } });
    await session.save();
    expect(bench.probe.peek(session.handle)!.data).toEqual(before!.data);
    expect(await session.tap((data) => ++data.n)).toBe(2);
    expect(await (await another()).tap((data) => ++data.n)).toBe(3);
  });

  it('if fn throws, what was written before is not lost to the request: save() still saves it', async () => {
    session.set('attempts', 3);
    await failureOf(() =>
      session.tap(() => {
        throw new Error('no');
      }),
    );
    expect(stored(bench, session)).not.toHaveProperty('attempts');
    expect(session.get('attempts')).toBe(3);
    await session.save();
    expect(stored(bench, session)).toMatchObject({ n: 1, attempts: 3 });
  });

  it('a value that cannot be stored fails the tap, names the key, and saves nothing', async () => {
    const before = bench.probe.peek(session.handle);
    const error = await failureOf(() =>
      session.tap((data) => {
        data.n = 2;
        data.amount = 1n;
      }),
    );
    expect(error).toBeInstanceOf(SessionError);
    expect(error.message).toContain('amount');
    expect(bench.probe.peek(session.handle)).toEqual(before);
    expect(await session.tap((data) => ++data.n)).toBe(2);
  });

  it('too much data fails the tap and saves nothing (S55)', async () => {
    const before = bench.probe.peek(session.handle);
    await expect(session.tap((data) => void (data.big = 'x'.repeat(70_000)))).rejects.toThrow(
      SessionTooLargeError,
    );
    expect(bench.probe.peek(session.handle)).toEqual(before);
    expect(await session.tap((data) => ++data.n)).toBe(2);
  });

  it('taps of one session run one at a time, in the order they came, whoever holds it', async () => {
    const holders = [session, await another(), await another()];
    const order: number[] = [];
    let running = 0;
    let most = 0;
    const taps = Array.from({ length: 12 }, (_, i) => {
      const fn = async (data: Bag) => {
        most = Math.max(most, ++running);
        order.push(i);
        const { n } = data;
        await settle(3);
        data.n = n + 1;
        running--;
        return i;
      };
      return i % 4 === 3 ? bench.store.tap(session.id, fn) : holders[i % 4]!.tap(fn);
    });
    expect(await Promise.all(taps)).toEqual(Array.from({ length: 12 }, (_, i) => i));
    expect(most).toBe(1);
    expect(stored(bench, session)!.n).toBe(13);
    // Through the store the session is looked up first, which is one turn in line more.
    const throughSession = order.filter((i) => i % 4 !== 3);
    expect(throughSession).toEqual(throughSession.toSorted((a, b) => a - b));
  });

  it('Promise.all of taps on one object runs them all, one at a time', async () => {
    let running = 0;
    const results = await Promise.all(
      [1, 2, 3, 4, 5].map(() =>
        session.tap(async (data) => {
          expect(++running).toBe(1);
          await settle(2);
          running--;
          return ++data.n;
        }),
      ),
    );
    expect(results).toEqual([2, 3, 4, 5, 6]);
    expect(session.get('n')).toBe(6);
  });

  it('two nodes over one storage take turns', async () => {
    const node = await secondNode(kind, bench);
    const gate = new Gate();
    let second = false;
    const first = session.tap(async (data) => {
      await gate.pass();
      data.n++;
    });
    await gate.reached();
    const waiting = node.store.tap(session.id, (data) => {
      second = true;
      return ++data.n;
    });
    await settle();
    expect(second).toBe(false);
    gate.open();
    await first;
    expect(await waiting).toBe(3);
  });

  it('taps of different sessions do not wait for each other', async () => {
    const other = await bench.store.create({ data: { n: 1 } });
    const gate = new Gate();
    const waiting = session.tap(() => gate.pass());
    await gate.reached();
    expect(await other.tap((data) => ++data.n)).toBe(2);
    gate.open();
    await waiting;
  });

  it('a plain write of another request neither waits for a tap nor makes it fail, and both stay', async () => {
    const gate = new Gate();
    const tapping = session.tap(async (data) => {
      await gate.pass();
      data.n = 2;
      data.nested.list.push(2);
    });
    await gate.reached();
    const other = await another();
    other.set('plain', true);
    await other.save();
    expect(stored(bench, session)).toEqual({ n: 1, nested: { list: [1], keep: true }, plain: true });
    gate.open();
    await tapping;
    expect(stored(bench, session)).toEqual({ n: 2, nested: { list: [1, 2], keep: true }, plain: true });
  });

  it('a tap does not put back what it only read and another request has changed meanwhile', async () => {
    const gate = new Gate();
    const tapping = session.tap(async (data) => {
      data.copy = data.nested.list.length;
      await gate.pass();
      data.n++;
    });
    await gate.reached();
    const other = await another();
    other.set('nested', 'changed');
    await other.save();
    gate.open();
    await tapping;
    expect(stored(bench, session)).toEqual({ n: 2, nested: 'changed', copy: 1 });
  });

  it.each<[through: string, nested: (session: AnySession) => Promise<unknown>]>([
    ['the same object', (each) => each.tap(() => 'inner')],
    ['another object', async () => (await another()).tap(() => 'inner')],
    ['the store', (each) => bench.store.tap(each.id, () => 'inner')],
  ])('a tap inside a tap through %s is a clear error at once, and not a dead lock', async (_t, nested) => {
    let inner: Error | undefined;
    const outer = await session.tap(async (data) => {
      data.n++;
      inner = await failureOf(() => nested(session));
      return 'outer';
    });
    expect(inner).toBeInstanceOf(SessionLockError);
    expect(inner!.message).toMatch(/inside/);
    expect(inner!.message).toContain(session.handle);
    expect(outer).toBe('outer');
    expect(stored(bench, session)!.n).toBe(2);
  });

  it('an error of a tap inside a tap that nobody catches fails the outer one, which saves nothing', async () => {
    await expect(
      session.tap(async (data) => {
        data.n++;
        await session.tap(() => 1);
      }),
    ).rejects.toThrow(SessionLockError);
    expect(stored(bench, session)!.n).toBe(1);
    expect(await session.tap((data) => ++data.n)).toBe(2);
  });

  it('a tap of another session inside a tap just runs', async () => {
    const other = await bench.store.create({ data: { n: 1 } });
    await session.tap(async (data) => {
      data.n += await other.tap((its) => ++its.n);
    });
    expect([stored(bench, session)!.n, stored(bench, other)!.n]).toEqual([3, 2]);
  });

  it('a tap that was begun inside a tap and is called when that has ended just runs', async () => {
    const gate = new Gate();
    let later: Promise<number> | undefined;
    await session.tap(() => {
      later = gate.pass().then(() => session.tap((data) => ++data.n));
    });
    gate.open();
    expect(await later).toBe(2);
  });

  it("plain members within a tap work on the session's own values", async () => {
    await session.tap((data) => {
      expect(session.get('n')).toBe(1);
      data.n = 2;
    });
    expect(session.get('n')).toBe(2);
  });

  it('on a new session it stores it, and the session goes on under its id', async () => {
    const fresh = await visitor(bench);
    const { id } = fresh;
    const before = bench.probe.size;
    expect(await fresh.tap((data) => (data.n = (data.n ?? 0) + 1))).toBe(1);
    expect(bench.probe.size).toBe(before + 1);
    expect(fresh.id).toBe(id);
    expect((await loaded(bench, id)).toJSON()).toEqual({ n: 1 });
    expect(await fresh.tap((data) => ++data.n)).toBe(2);
  });

  it('on a new session taps at once all count', async () => {
    const fresh = await visitor(bench);
    const add = (data: Bag) => (data.n = (data.n ?? 0) + 1);
    expect(await Promise.all([fresh.tap(add), fresh.tap(add), fresh.tap(add)])).toEqual([1, 2, 3]);
    expect((await loaded(bench, fresh.id)).get('n')).toBe(3);
  });

  it('on a new session, one whose fn throws creates nothing (S52)', async () => {
    const fresh = await visitor(bench);
    const before = bench.probe.size;
    await failureOf(() =>
      fresh.tap((data) => {
        data.n = 1;
        throw new Error('no');
      }),
    );
    expect(fresh.get('n')).toBeUndefined();
    await fresh.save();
    expect(bench.probe.size).toBe(before);
  });

  it.each<[title: string, tap: (fn: () => void) => Promise<unknown>]>([
    [
      'was destroyed',
      async (fn) => {
        await bench.store.destroy(session.id);
        return session.tap(fn);
      },
    ],
    [
      'was destroyed, through the store',
      async (fn) => {
        const { id } = session;
        await session.destroy();
        return bench.store.tap(id, fn);
      },
    ],
    ['was never there', (fn) => bench.store.tap(`${'A'.repeat(22)}.${'B'.repeat(43)}`, fn)],
    ['has another secret', (fn) => bench.store.tap(`${session.handle}.${'B'.repeat(43)}`, fn)],
    [
      'has an id that was rotated away',
      async (fn) => {
        const { id } = session;
        await session.regenerate();
        return bench.store.tap(id, fn);
      },
    ],
    ['has an id that is none', (fn) => bench.store.tap('../../etc/passwd', fn)],
    ['has no id', (fn) => bench.store.tap(undefined as never, fn)],
  ])('of a session that %s rejects, and fn does not run (S3, S26, S27)', async (_title, tap) => {
    let ran = false;
    const before = bench.probe.size;
    const error = await failureOf(() => tap(() => void (ran = true)));
    expect(error).toBeInstanceOf(SessionGoneError);
    expect(ran).toBe(false);
    expect(bench.probe.size).toBeLessThanOrEqual(before);
  });

  it('a session destroyed while fn runs stays dead, and the tap says so (S27)', async () => {
    const gate = new Gate();
    const tapping = session.tap(async (data) => {
      await gate.pass();
      data.n = 2;
    });
    const outcome = failureOf(() => tapping);
    await gate.reached();
    expect(await bench.store.destroy(session.id)).toBe(true);
    gate.open();
    expect(await outcome).toBeInstanceOf(SessionGoneError);
    expect(await bench.store.isEmpty()).toBe(true);
  });

  it('one that waits in line when the session is destroyed rejects, and its fn does not run (S27)', async () => {
    const gate = new Gate();
    let ran = false;
    const other = await another();
    const first = failureOf(() => session.tap(() => gate.pass().then(() => failureOf(() => session.save()))));
    await gate.reached();
    const waiting = failureOf(() => other.tap(() => void (ran = true)));
    await settle();
    await bench.store.destroy(session.id);
    gate.open();
    expect(await waiting).toBeInstanceOf(SessionGoneError);
    expect(ran).toBe(false);
    await first;
    expect(await bench.store.isEmpty()).toBe(true);
  });

  it('a holder whose id was rotated away while it waited runs nothing and sees nothing newer (S57)', async () => {
    const other = await another();
    await other.regenerate();
    other.set('n', 5);
    await other.save();
    const fn = jest.fn<(data: Bag) => void>();
    await expect(session.tap(fn)).rejects.toThrow(SessionGoneError);
    expect(fn).not.toHaveBeenCalled();
    expect(session.get('n')).toBe(1);
    expect((await loaded(bench, other.id)).get('n')).toBe(5);
  });

  it('a rotation while fn runs neither waits nor fails it, and the old id stays dead (S11)', async () => {
    const { id } = session;
    const gate = new Gate();
    const tapping = session.tap(async (data) => {
      await gate.pass();
      return ++data.n;
    });
    await gate.reached();
    const other = await another();
    await other.regenerate();
    gate.open();
    expect(await tapping).toBe(2);
    expect(await bench.store.load(id)).toBeUndefined();
    expect((await loaded(bench, other.id)).get('n')).toBe(2);
  });

  it.each([undefined, null, 7, 'fn', {}])('of %p, which is no function, is a clear error', async (fn) => {
    for (const work of [() => session.tap(fn as never), () => bench.store.tap(session.id, fn as never)]) {
      const error = await failureOf(work);
      expect(error.message).toMatch(/tap|function/);
    }
    expect(await session.tap((data) => data.n)).toBe(1);
  });
});
