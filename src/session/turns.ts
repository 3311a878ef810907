import { AsyncLocalStorage } from 'node:async_hooks';
import { SessionError } from '../errors.js';
import { SessionGoneError, SessionLockError } from '../errors.http.js';
import { parseId } from './id.js';
import type { SessionLifecycle } from './lifecycle.js';
import type { SessionState } from './state.js';
import type { SessionLease } from '../storage/session-storage.js';

type Tap<R> = (data: object) => R | PromiseLike<R>;

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

/** Work that one session's holders do one after another: taps and locked routes. */
export class SessionExclusive {
  private readonly held = new AsyncLocalStorage<Held>();

  constructor(private readonly lifecycle: SessionLifecycle) {}

  /** Runs `fn` on the fresh data of this session, alone, and saves what it made of them. */
  async tap<R>(state: SessionState, fn: Tap<R>): Promise<R> {
    checkTap(fn);
    this.lifecycle.refuseGone(state);
    this.lifecycle.name(state);
    const handle = state.handle!;
    return this.inTap(handle, async (lease) => {
      if (state.writing) await this.lifecycle.idle(state);
      await this.lifecycle.refresh(state);
      return this.run(state, fn, lease);
    });
  }

  /** The same for the session of an id; `fn` does not run if there is none. */
  async tapById<R>(id: string, fn: Tap<R>): Promise<R> {
    checkTap(fn);
    const parts = parseId(id);
    if (!parts) throw new SessionGoneError(undefined);
    return this.inTap(parts.handle, async (lease) => {
      const state = await this.lifecycle.find(id);
      if (!state) throw new SessionGoneError(undefined);
      return this.run(state, fn, lease);
    });
  }

  /** Runs `fn` while the route holds the session; its writes depend on the lease. */
  async locked<R>(state: SessionState, fn: () => Promise<R>): Promise<R> {
    if (state.status !== 'stored' || this.heldHere(state.handle!)) return fn();
    return this.alone(state.handle!, 'route', async (lease) => {
      if (state.writing) await this.lifecycle.idle(state);
      const record = state.status === 'stored' ? await this.lifecycle.catchUp(state) : undefined;
      // It ended while this waited, as after a double click on "log out": the route runs, what it writes is dropped.
      if (!record) return fn();
      state.values.rebase(record.data);
      state.lease = lease.token;
      try {
        return await fn();
      } finally {
        if (state.writing) await this.lifecycle.idle(state);
        state.lease = undefined;
      }
    });
  }

  private inTap<R>(handle: string, fn: (lease: SessionLease) => Promise<R>): Promise<R> {
    const held = this.heldHere(handle);
    if (!held) return this.alone(handle, 'tap', fn);
    if (held.by === 'route') return this.inRoute(held, fn);
    throw new SessionLockError(
      `Session ${handle}: tap() inside a tap() of the same session would wait for itself; use the data of the outer one.`,
    );
  }

  /** The route holds the lock already; its taps still run one after another. */
  private inRoute<R>(route: Held, fn: (lease: SessionLease) => Promise<R>): Promise<R> {
    const turn = route.taps.then(async () => {
      const held = holding(route.handle, 'tap', route.lease, route);
      try {
        return await this.held.run(held, fn, route.lease);
      } finally {
        held.released = true;
      }
    });
    route.taps = turn.catch(() => undefined);
    return turn;
  }

  private async run<R>(state: SessionState, fn: Tap<R>, lease: SessionLease): Promise<R> {
    const { handle } = state;
    const draft = state.values.draft();
    const result = await fn(draft.data);
    if (state.writing) await this.lifecycle.idle(state);
    this.lifecycle.refuseGone(state);
    // Logged out meanwhile: what the object stands for now is another visitor's session (S12, S27).
    if (state.handle !== handle) throw new SessionGoneError(handle);
    const change = draft.settle();
    // A request's commit writes the touch, and renews the cookie with it.
    const touches = !state.carrier && this.lifecycle.isTouchDue(state);
    if (state.status === 'new') {
      if (change) await this.lifecycle.insert(state, change);
    } else if (change || touches) {
      await this.lifecycle.write(state, change, touches, lease.token);
      this.lifecycle.refuseGone(state);
    }
    draft.accept();
    return result;
  }

  /** Holds a session while `fn` runs, and releases it whatever happens (S54). */
  private async alone<R>(
    handle: string,
    by: Held['by'],
    fn: (lease: SessionLease) => Promise<R>,
  ): Promise<R> {
    const { settings } = this.lifecycle;
    const lease = await this.lifecycle.call(() => settings.storage.lock(handle, settings.lock));
    const held = holding(handle, by, lease, this.held.getStore());
    try {
      return await this.held.run(held, fn, lease);
    } finally {
      held.released = true;
      await this.release(lease);
    }
  }

  /** What was written stands, so a release that fails is no failure: the lease ends by itself. */
  private async release(lease: SessionLease): Promise<void> {
    try {
      await this.lifecycle.call(() => lease.release());
    } catch {
      // It is in the log.
    }
  }

  private heldHere(handle: string): Held | undefined {
    for (let held = this.held.getStore(); held; held = held.outer) {
      if (held.handle === handle && !held.released) return held;
    }
    return undefined;
  }
}

function holding(handle: string, by: Held['by'], lease: SessionLease, outer: Held | undefined): Held {
  return { handle, by, lease, released: false, taps: Promise.resolve(), outer };
}

function checkTap(fn: unknown): void {
  if (typeof fn !== 'function') throw new SessionError(`tap takes a function; got a ${typeof fn}.`);
}
