import { SessionError } from '../errors.js';
import { SessionConflictError, SessionStorageError } from '../errors.http.js';
import { newSecret, proofOf } from './id.js';
import { checkUser, MAX_TRIES, type SessionLifecycle } from './lifecycle.js';
import { absoluteDeadline, type SessionState } from './state.js';
import type { SessionChange, UpdateResult } from '../storage/session-storage.js';
import type { Awaitable } from '../awaitable.js';

/** What a rotation may change besides the secret. */
type Binding = Pick<SessionChange, 'userId' | 'authenticatedAt' | 'ttl'>;

/** New secrets for sessions: on request, and at every login. */
export class SessionRotation {
  constructor(private readonly lifecycle: SessionLifecycle) {}

  /** A new secret for the same session; the old id is dead at once. */
  async regenerate(state: SessionState): Promise<void> {
    if (state.writing) await this.lifecycle.idle(state);
    this.refuseSealed(state, 'regenerate()');
    this.lifecycle.refuseGone(state);
    if (state.status === 'new') state.id = undefined;
    else await this.rotate(state, {});
  }

  async login(state: SessionState, userId: string, ttl: number | undefined): Promise<void> {
    checkUser(userId, 'login');
    if (state.writing) await this.lifecycle.idle(state);
    this.refuseSealed(state, 'login()');
    this.lifecycle.refuseGone(state);
    if (state.status === 'stored') {
      if (
        await this.rotate(state, {
          userId,
          authenticatedAt: Date.now(),
          ttl: ttl ?? this.ttlFor(state, userId),
        })
      )
        return;
      // Another login of this user came first, as after a double click: that one counts.
      if (state.userId === userId) return;
      throw new SessionConflictError(state.handle);
    }
    state.id = undefined;
    const { ttl: before } = state;
    state.userId = userId;
    if (ttl !== undefined) state.ttl = ttl;
    try {
      await this.lifecycle.insert(state, state.values.collect(false));
    } catch (error) {
      // Nobody is logged in: what the request writes next must not start a session of this user.
      state.userId = undefined;
      state.ttl = before;
      throw error;
    }
  }

  /** "Remember me" is one user's wish: it does not pass to another who logs in on the same session. */
  private ttlFor(state: SessionState, userId: string): number | undefined {
    const anothers = state.userId !== undefined && state.userId !== userId;
    return anothers && state.ttl !== undefined && !state.ttlChanged ? this.lifecycle.settings.ttl : undefined;
  }

  /**
   * One atomic update of the proof and whatever else changed. Of two rotations at once the first wins, and
   * the other changes nothing (S14).
   *
   * @returns whether this one won
   */
  private rotate(state: SessionState, binding: Binding): Awaitable<boolean> {
    return this.lifecycle.during(
      state,
      this.tryRotate(state, binding, newSecret(this.lifecycle.settings.generateId)),
    );
  }

  private async tryRotate(state: SessionState, binding: Binding, secret: string): Promise<boolean> {
    const handle = state.handle!;
    for (let tries = 0; tries < MAX_TRIES && !state.rotatedElsewhere; tries++) {
      const values = state.values.collect(state.carrier !== undefined);
      this.lifecycle.checkSize(state, values);
      const now = Date.now();
      const ttl = binding.ttl ?? state.ttl;
      const { settings } = this.lifecycle;
      const change = {
        ...values,
        ...binding,
        ttl,
        proof: proofOf(secret),
        touchedAt: now,
        expiresAt: Math.min(
          now + (ttl ?? settings.ttl),
          absoluteDeadline(this.bound(state, binding), settings),
        ),
        expectedVersion: state.version,
        lease: state.lease,
      };
      const result = await this.updateOrLearn(state, change);
      if (result === 'ok') {
        if (values) state.values.saved(values);
        state.take({
          ...change,
          handle,
          version: state.version + 1,
          ...this.bound(state, binding),
          data: {},
        });
        state.ttl = ttl;
        state.ttlChanged = false;
        state.useNoted = true;
        state.id = `${handle}.${secret}`;
        state.cookieDue = 'issue';
        this.lifecycle.events.emit('rotated', handle, state.userId);
        return true;
      }
      if (result === 'gone') this.lifecycle.lose(state);
      else {
        const record = await this.lifecycle.catchUp(state);
        if (record && state.lease !== undefined && record.version === change.expectedVersion)
          this.lifecycle.loseLock(state);
      }
      this.lifecycle.refuseGone(state);
    }
    if (!state.rotatedElsewhere) {
      throw new SessionStorageError(
        new Error(`session ${handle}: another write came first ${MAX_TRIES} times`),
      );
    }
    this.lifecycle.events.emit('conflict', handle, state.userId);
    return false;
  }

  /** A failure may come after the work was done: then the new secret is the one that works, and must be handed out (S18). */
  private async updateOrLearn(state: SessionState, change: SessionChange): Promise<UpdateResult> {
    try {
      return await this.lifecycle.update(state, change);
    } catch (error) {
      const { storage } = this.lifecycle.settings;
      const record = await this.lifecycle.call(() => storage.read(state.handle!));
      if (record?.proof !== change.proof) throw error;
      return 'ok';
    }
  }

  private bound({ createdAt, authenticatedAt, userId }: SessionState, binding: Binding) {
    return {
      createdAt,
      authenticatedAt: binding.authenticatedAt ?? authenticatedAt,
      userId: binding.userId ?? userId,
    };
  }

  private refuseSealed(state: SessionState, what: string): void {
    if (!state.carrier?.sealed) return;
    throw new SessionError(
      `${what} must be called before the headers go out: the client could not be told its new id.`,
    );
  }
}
