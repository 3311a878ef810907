import type { SessionLease, SessionStorage } from '../../storage/session-storage.js';
import { runner } from '../runner.js';
import { sleep } from './clock.js';
import { expectCount, given, newHandle, newProof, times, type StorageBench } from './bench.js';

const { beforeEach, describe, expect, it } = runner;

/** Milliseconds that no test ever waits for: only a fault makes it this long. */
const LONG = 10_000;
/** Milliseconds that some tests wait for. */
const BRIEF = 40;

export function describeLocks(bench: StorageBench): void {
  describe('locks', () => {
    lockTests(bench, () => [bench.storage]);

    it('are given first come, first served, whether or not there is a record', async () => {
      for (const handle of [newHandle(), (await given(bench)).handle]) {
        const order: number[] = [];
        const first = await bench.storage.lock(handle, { wait: LONG, hold: LONG });
        const waiters = times(5, async (i) => {
          const lease = await bench.storage.lock(handle, { wait: LONG, hold: LONG });
          order.push(i);
          await lease.release();
        });
        await first.release();
        await Promise.all(waiters);
        expect(order).toEqual([0, 1, 2, 3, 4]);
      }
    });
  });
}

/** The tests of locks; the callers use the given nodes in turn. */
export function lockTests(bench: StorageBench, nodes: () => readonly SessionStorage[]): void {
  const node = (index: number) => nodes()[index % nodes().length];
  /** Also turns an error that is thrown at once into a rejection. */
  const lock = async (
    index: number,
    handle: string,
    { wait = LONG, hold = LONG } = {},
  ): Promise<SessionLease> => node(index).lock(handle, { wait, hold });
  const refusal = (waiting: Promise<SessionLease>) =>
    waiting.then(
      () => undefined,
      (error: { code?: unknown }) => error.code,
    );

  beforeEach(() => bench.clock.run());

  it('are held by one at a time (S54)', async () => {
    const handle = newHandle();
    let holders = 0;
    let most = 0;
    const work = async (index: number) => {
      const lease = await lock(index, handle);
      most = Math.max(most, ++holders);
      await sleep(2);
      holders--;
      await lease.release();
    };
    await Promise.all(times(8, work));
    expect([most, holders]).toEqual([1, 0]);
  });

  it('make reading, changing and writing back safe', async () => {
    const { handle } = await given(bench, { data: { n: '0' } });
    const countUp = async (index: number) => {
      const lease = await lock(index, handle);
      const n = Number((await node(index).read(handle))!.data.n);
      await sleep(1);
      const change = { set: { n: String(n + 1) }, lease: lease.token };
      expect(await node(index).update(handle, change)).toBe('ok');
      await lease.release();
    };
    await Promise.all(times(8, countUp));
    expect((await node(1).read(handle))?.data.n).toBe('8');
  });

  it('are free again once released, and name each holder anew', async () => {
    const handle = newHandle();
    const tokens = new Set<string>();
    for (let i = 0; i < 4; i++) {
      const lease = await lock(i, handle);
      tokens.add(lease.token);
      await lease.release();
    }
    expect(tokens.size).toBe(4);
  });

  it('of one session do not keep another waiting', async () => {
    const held = await lock(0, newHandle());
    const other = await lock(1, newHandle(), { wait: BRIEF });
    await other.release();
    await held.release();
  });

  it('do not keep a plain write, a read or a destroy waiting', async () => {
    const { handle } = await given(bench);
    const lease = await lock(0, handle);
    expect(await node(1).update(handle, { set: { visits: '2' } })).toBe('ok');
    expect((await node(1).read(handle))?.data.visits).toBe('2');
    expect(await node(1).destroy(handle)).toBe(true);
    expect(await node(0).update(handle, { set: { visits: '3' }, lease: lease.token })).toBe('gone');
    await lease.release();
  });

  it('make no record', async () => {
    const lease = await lock(0, newHandle());
    await expectCount(bench, 0, node(0));
    await lease.release();
    await expectCount(bench, 0, node(1));
  });

  it('are refused when the wait is over, and not given afterwards (S54)', async () => {
    const handle = newHandle();
    const held = await lock(0, handle);
    expect(await refusal(lock(1, handle, { wait: BRIEF }))).toBe('ERR_SESSION_LOCK');
    const next = lock(1, handle);
    await held.release();
    await (await next).release();
  });

  it('end by themselves when they were held too long (S54)', async () => {
    const handle = newHandle();
    await lock(0, handle, { hold: BRIEF });
    const next = await lock(1, handle);
    await next.release();
  });

  it('are not freed a second time by who released them before', async () => {
    const handle = newHandle();
    const first = await lock(0, handle);
    await first.release();
    const second = await lock(1, handle);
    await first.release();
    expect(await refusal(lock(0, handle, { wait: BRIEF }))).toBe('ERR_SESSION_LOCK');
    await second.release();
    await second.release();
    await (await lock(0, handle)).release();
  });

  it('are not freed by a late holder, and it writes nothing any more (S27, S54)', async () => {
    const record = await given(bench, { data: { by: '"nobody"' } });
    const { handle } = record;
    const late = await lock(0, handle, { hold: BRIEF });
    const current = await lock(1, handle);
    await late.release();
    expect(await node(0).update(handle, { set: { by: '"late"' }, lease: late.token })).toBe('lost');
    expect(await node(1).read(handle)).toEqual(record);
    expect(await refusal(lock(0, handle, { wait: BRIEF }))).toBe('ERR_SESSION_LOCK');
    expect(await node(1).update(handle, { set: { by: '"current"' }, lease: current.token })).toBe('ok');
    expect((await node(0).read(handle))?.data.by).toBe('"current"');
    await current.release();
  });

  it('let nobody write under a lease that is released, made up, or of another session (S54)', async () => {
    const record = await given(bench);
    const { handle } = record;
    const lease = await lock(0, handle);
    await lease.release();
    const elsewhere = await lock(0, newHandle());
    const change = { set: { visits: '9' }, proof: newProof(), userId: 'eve', expiresAt: 1 };
    for (const token of [lease.token, elsewhere.token, 'made-up', '']) {
      expect(await node(0).update(handle, { ...change, lease: token })).toBe('lost');
    }
    expect(await node(0).read(handle)).toEqual(record);
    await elsewhere.release();
  });

  it('fence a write that has expectations too: both must hold (S54, S57)', async () => {
    const record = await given(bench, { userId: 'ada' });
    const { handle, proof } = record;
    const lease = await lock(0, handle);
    const write = { set: { visits: '2' }, lease: lease.token };
    expect(await node(0).update(handle, { ...write, expected: { userId: 'bob' } })).toBe('conflict');
    expect(await node(1).read(handle)).toEqual(record);
    const met = { ...write, expected: { proof, userId: 'ada', ttl: null } };
    expect(await node(0).update(handle, met)).toBe('ok');
    await lease.release();
    expect(await node(0).update(handle, met)).toBe('lost');
    // Where neither holds, every storage answers the same.
    expect(await node(0).update(handle, { ...write, expected: { userId: 'bob' } })).toBe('lost');
  });

  it('fence a session that was created under them', async () => {
    const handle = newHandle();
    const lease = await lock(0, handle);
    await given(bench, { handle });
    expect(await node(0).update(handle, { set: { visits: '2' }, lease: lease.token })).toBe('ok');
    await lease.release();
    expect(await node(0).update(handle, { set: { visits: '3' }, lease: lease.token })).toBe('lost');
  });
}
