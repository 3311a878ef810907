import { AsyncLocalStorage } from 'node:async_hooks';
import { SessionError } from '../errors.js';
import { SessionGoneError, SessionLockError } from '../errors.http.js';
import { kindOf } from '../rules.js';
import type { SessionLease } from '../storage/session-storage.js';
import type { CheckedStorage } from './checked-storage.js';
import { alone, touchIsDue } from './save.js';
import type { SessionState } from './state.js';
import { insert, look, refuseOutside, refuseSent, write } from './write.js';

export type Tap<R> = (data: object) => R | PromiseLike<R>;

/** A lock that the code running now holds, and the one it was taken inside of. */
interface Held {
  readonly handle: string;
  readonly by: 'tap' | 'route';
  readonly lease: SessionLease;
  released: boolean;
  /** The taps inside a locked route take their turns here. */
  taps: Promise<unknown>;
  readonly outer: Held | undefined;
}

/**
 * Work that the holders of one session do one after another: taps and locked routes. A holder that waited looks again
 * before it goes on: only the id that it came with opens the session to it (S57).
 */
export class Turns {
  private readonly held = new AsyncLocalStorage<Held>();

  constructor(private readonly storage: CheckedStorage) {}

  /** Runs `fn` on the fresh data of this session, alone, and saves what it made of them. */
  async tap<R>(state: SessionState, fn: Tap<R>): Promise<R> {
    checkTap(fn);
    refuseOutside(state);
    if (!state.record) refuseSent(state, 'A new session must be stored');
    state.name();
    const handle = state.handle!;
    return this.inTap(handle, async (lease) => {
      await this.goOn(state, handle);
      return this.run(state, fn, lease);
    });
  }

  /** The same for a session that `find` gives once its turn has come; `fn` does not run if there is none. */
  async tapFound<R>(
    handle: string,
    find: () => PromiseLike<SessionState | undefined> | SessionState | undefined,
    fn: Tap<R>,
  ): Promise<R> {
    checkTap(fn);
    return this.inTap(handle, async (lease) => {
      const state = await find();
      if (!state) throw new SessionGoneError(undefined);
      return this.run(state, fn, lease);
    });
  }

  /** Runs `fn` while the route holds the session; its writes depend on the lease. */
  async locked<R>(state: SessionState, fn: () => Promise<R>): Promise<R> {
    refuseOutside(state);
    if (!state.record || this.heldHere(state.handle!)) return fn();
    const handle = state.handle!;
    return this.withLock(handle, 'route', async (lease) => {
      await this.goOn(state, handle);
      state.lease = lease.token;
      try {
        return await fn();
      } finally {
        while (state.writing) await state.writing;
        if (state.lease === lease.token) state.lease = undefined;
      }
    });
  }

  /** @throws {SessionGoneError} unless this holder's id still opens the session that it waited for */
  private async goOn(state: SessionState, handle: string): Promise<void> {
    await alone(state, async () => {
      if (state.handle === handle && !state.record) return;
      const record = state.handle === handle ? await look(state) : undefined;
      if (!record || !state.isOwner) throw new SessionGoneError(handle);
      state.values.rebase(this.storage.dataOf(record));
    });
  }

  private inTap<R>(handle: string, fn: (lease: SessionLease) => Promise<R>): Promise<R> {
    const held = this.heldHere(handle);
    if (!held) return this.withLock(handle, 'tap', fn);
    if (held.by === 'route') return this.inRoute(held, fn);
    const problem = `Session ${handle}: tap() inside a tap() of the same session would wait for itself; use the data of the outer one.`;
    this.storage.events.warn(problem);
    throw new SessionLockError(problem);
  }

  /** The route holds the lock already; its taps still run one after another. */
  private inRoute<R>(route: Held, fn: (lease: SessionLease) => Promise<R>): Promise<R> {
    const turn = route.taps.then(() => this.hold(route.handle, 'tap', route.lease, fn));
    // The caller has the error; the next tap waits for the end alone.
    route.taps = turn.catch(() => undefined);
    return turn;
  }

  private async run<R>(state: SessionState, fn: Tap<R>, lease: SessionLease): Promise<R> {
    const { handle } = state;
    const draft = state.values.draft();
    const result = await fn(draft.data);
    await alone(state, async () => {
      refuseOutside(state);
      // Logged out meanwhile: what the object stands for now is another visitor's session (S12, S27).
      if (state.handle !== handle) throw new SessionGoneError(handle);
      const change = draft.settle();
      // Who came by the handle does not use the session: an administrator, or a socket, whose exchange writes the use.
      const touches = !state.exchange && !state.isHeldByHandle && touchIsDue(state);
      if (!state.record) {
        if (change) await insert(state, change);
      } else if (change || touches) {
        await write(state, change, touches, lease.token);
        refuseOutside(state);
      }
      draft.accept();
    });
    return result;
  }

  /** Holds a session while `fn` runs, and releases it whatever happens (S54). */
  private async withLock<R>(
    handle: string,
    by: Held['by'],
    fn: (lease: SessionLease) => Promise<R>,
  ): Promise<R> {
    const lease = await this.storage.lock(handle);
    try {
      return await this.hold(handle, by, lease, fn);
    } finally {
      await this.storage.release(lease);
    }
  }

  private async hold<R>(
    handle: string,
    by: Held['by'],
    lease: SessionLease,
    fn: (lease: SessionLease) => Promise<R>,
  ): Promise<R> {
    const outer = this.held.getStore();
    const held: Held = { handle, by, lease, released: false, taps: Promise.resolve(), outer };
    try {
      return await this.held.run(held, fn, lease);
    } finally {
      held.released = true;
    }
  }

  private heldHere(handle: string): Held | undefined {
    for (let held = this.held.getStore(); held; held = held.outer) {
      if (held.handle === handle && !held.released) return held;
    }
    return undefined;
  }
}

/** @throws {SessionError} unless it is a function */
export function checkTap(fn: unknown): void {
  if (typeof fn !== 'function') throw new SessionError(`tap takes a function; got ${kindOf(fn)}.`);
}
