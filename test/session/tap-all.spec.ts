import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { SessionError, SessionGoneError, SessionLockError, SessionStorageError } from '../../src/index.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
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

beforeEach(freezeTime);
afterEach(unfreezeTime);

describe.each(kinds)('sessions that are changed from outside: %s', (kind) => {
  let bench: Bench;

  beforeEach(async () => {
    bench = await open(kind, { touchAfter: 0 });
  });

  const sessionsOf = (userId: string, count: number): Promise<AnySession[]> =>
    Promise.all(Array.from({ length: count }, (_, i) => bench.store.create({ userId, data: { i } })));

  describe('by the user', () => {
    it('all are changed, those of others stay, and the number is told', async () => {
      const mine = await sessionsOf('ada', 3);
      const [other] = await sessionsOf('grace', 1);
      const changed = await bench.store.tapByUser('ada', async (data) => {
        await settle(1);
        data.role = 'admin';
      });
      expect(changed).toBe(3);
      for (const [i, session] of mine.entries()) expect(stored(bench, session)).toEqual({ i, role: 'admin' });
      expect(stored(bench, other!)).toEqual({ i: 0 });
      expect(await bench.store.tapByUser('nobody', () => undefined)).toBe(0);
    });

    it('is no use of any of them: no deadline and no time moves, and flashes stay', async () => {
      const [session] = await sessionsOf('ada', 1);
      session!.flash('notice', 'saved');
      await session!.save();
      const before = bench.probe.peek(session!.handle)!;
      passTime(60_000);
      await bench.store.tapByUser('ada', (data) => void (data.n = 1));
      await bench.store.tapByHandle(session!.handle, (data) => void (data.n = 2));
      const { touchedAt, expiresAt, proof } = bench.probe.peek(session!.handle)!;
      expect([touchedAt, expiresAt, proof]).toEqual([before.touchedAt, before.expiresAt, before.proof]);
      const next = await loaded(bench, session!.id);
      expect([next.flashed('notice'), next.get('n')]).toEqual(['saved', 2]);
    });

    it('one after another, each alone like tap: other taps wait, plain writes do not (S54)', async () => {
      const [one, two] = await sessionsOf('ada', 2);
      const gate = new Gate();
      let inside = 0;
      const changing = bench.store.tapByUser('ada', async (data) => {
        inside++;
        await gate.pass();
        data.n = (data.n ?? 0) + 1;
      });
      await gate.reached();
      await settle();
      expect([inside, gate.arrived]).toEqual([1, 1]);
      const node = await secondNode(kind, bench);
      const taps = [one!, two!].map(({ id }) => node.store.tap(id, (data) => (data.n = (data.n ?? 0) + 1)));
      const plain = await loaded(node, one!.id);
      plain.set('plain', true);
      await plain.save();
      gate.open();
      expect(await changing).toBe(2);
      await Promise.all(taps);
      expect(stored(bench, one!)).toMatchObject({ n: 2, plain: true });
      expect(stored(bench, two!)).toMatchObject({ n: 2 });
    });

    it('one that ends meanwhile stays ended and is not counted, be it before, while or after fn ran (S27)', async () => {
      const mine = await sessionsOf('ada', 4);
      const seen: number[] = [];
      const changed = await bench.store.tapByUser('ada', async (data) => {
        seen.push(data.i);
        const rest = mine.filter((_, i) => !seen.includes(i));
        const [own] = mine.filter((_, i) => i === data.i);
        if (seen.length === 1) await bench.store.destroy(rest[0]!.id);
        if (seen.length === 2) await bench.store.destroy(own!.id);
        if (seen.length === 3) await bench.store.destroy(mine[seen[0]!]!.id);
        data.role = 'admin';
      });
      expect([seen.length, changed]).toEqual([3, 1]);
      expect((await bench.store.listByUser('ada')).map(({ data }) => data.role)).toEqual(['admin']);
      expect(await bench.store.count()).toBe(1);
    });

    it('one that goes to another user meanwhile is left alone and not counted (S56)', async () => {
      await sessionsOf('ada', 2);
      const gate = new Gate();
      const changing = bench.store.tapByUser('ada', async (data) => {
        await gate.pass();
        data.role = 'admin';
      });
      await gate.reached();
      const infos = await bench.store.listByUser('ada');
      const node = await secondNode(kind, bench);
      // Whichever fn is inside of, one is taken now and the other before its turn.
      for (const { handle } of infos) {
        await bench.storage.update(handle, { userId: 'grace' });
      }
      gate.open();
      expect(await changing).toBe(0);
      expect((await node.store.listByUser('grace')).map(({ data }) => data.role)).toEqual([
        undefined,
        undefined,
      ]);
    });

    it('those on which the user logs in meanwhile are changed too', async () => {
      await sessionsOf('ada', 1);
      const gate = new Gate();
      const changing = bench.store.tapByUser('ada', async (data) => {
        await gate.pass();
        data.role = 'admin';
      });
      await gate.reached();
      const late = await bench.store.create({ userId: 'ada' });
      gate.open();
      expect(await changing).toBe(2);
      expect(stored(bench, late)).toEqual({ role: 'admin' });
    });

    it('what fn throws ends it: those before stay changed, the rest is as it was, and the error says how many', async () => {
      const mine = await sessionsOf('ada', 3);
      const cause = new Error('no such role');
      let ran = 0;
      const error = await failureOf(() =>
        bench.store.tapByUser('ada', (data) => {
          data.role = 'admin';
          if (++ran === 3) throw cause;
        }),
      );
      expect(error).toBeInstanceOf(SessionError);
      expect(error.message).toMatch(/2 before it are changed/);
      expect(error.cause).toBe(cause);
      const roles = mine.map((session) => stored(bench, session)!.role).filter(Boolean);
      expect(roles).toEqual(['admin', 'admin']);
    });

    it('a SessionGoneError of fn itself, and a value that cannot be stored, end it too', async () => {
      await sessionsOf('ada', 2);
      const gone = await failureOf(() =>
        bench.store.tapByUser('ada', () => Promise.reject(new SessionGoneError('other'))),
      );
      expect([gone.code, gone.cause]).toEqual(['ERR_SESSION', expect.any(SessionGoneError)]);
      const wrong = await failureOf(() => bench.store.tapByUser('ada', (data) => void (data.f = () => 1)));
      expect([wrong.code, wrong.message]).toEqual(['ERR_SESSION', expect.stringContaining('0 before it')]);
    });

    it('a storage that fails is a 503, and a tap around it an error that does not wait', async () => {
      const [session] = await sessionsOf('ada', 1);
      bench.probe.fail('update', { times: 1 });
      const failed = bench.store.tapByUser('ada', (data) => void (data.n = 1));
      await expect(failed).rejects.toThrow(SessionStorageError);
      const inside = session!.tap(() => bench.store.tapByUser('ada', (data) => void (data.n = 1)));
      await expect(inside).rejects.toThrow(SessionLockError);
    });

    it('a user that is none, or no function, is a clear error and changes nothing', async () => {
      await sessionsOf('ada', 1);
      for (const user of ['', undefined, 7, 'a\ud800']) {
        const fn = jest.fn();
        await expect(bench.store.tapByUser(user as string, fn)).rejects.toThrow(/tapByUser: userId must be/);
        expect(fn).not.toHaveBeenCalled();
      }
      await expect(bench.store.tapByUser('nobody', undefined as never)).rejects.toThrow(/takes a function/);
    });
  });

  describe('by the handle', () => {
    it('gives what fn returned, and saves what it made of the data', async () => {
      const session = await bench.store.create({ data: { n: 1 } });
      expect(await bench.store.tapByHandle(session.handle, (data) => ++data.n)).toBe(2);
      expect(stored(bench, session)).toEqual({ n: 2 });
    });

    it('takes its turn with taps of the session itself (S54)', async () => {
      const session = await bench.store.create({ data: { n: 0 } });
      const add = (data: Bag) => settle(1).then(() => ++data.n);
      await Promise.all([
        ...Array.from({ length: 5 }, () => bench.store.tapByHandle(session.handle, add)),
        ...Array.from({ length: 5 }, () => bench.store.tap(session.id, add)),
      ]);
      expect(stored(bench, session)).toEqual({ n: 10 });
    });

    it.each(['', 'nope', '__proto__', 'A'.repeat(22), undefined])(
      'of %p, which is no session, rejects, and fn does not run',
      async (handle) => {
        await bench.store.create();
        const fn = jest.fn();
        await expect(bench.store.tapByHandle(handle as string, fn)).rejects.toThrow(SessionGoneError);
        expect(fn).not.toHaveBeenCalled();
      },
    );

    it('of one that expired, or ended while fn ran, rejects, and nothing comes back (S27)', async () => {
      const expired = await bench.store.create({ ttl: '1m' });
      passTime(60_000);
      await expect(bench.store.tapByHandle(expired.handle, () => 1)).rejects.toThrow(SessionGoneError);
      const session = await bench.store.create();
      const tapping = bench.store.tapByHandle(session.handle, async (data) => {
        await bench.store.revoke(session.handle);
        data.n = 1;
      });
      await expect(tapping).rejects.toThrow(SessionGoneError);
      expect(await bench.store.load(session.id)).toBeUndefined();
    });

    it('goes on when the session gets a new id meanwhile', async () => {
      const session = await bench.store.create();
      await bench.store.tapByHandle(session.handle, async (data) => {
        await session.regenerate();
        data.n = 1;
      });
      expect((await loaded(bench, session.id)).get('n')).toBe(1);
    });
  });
});
