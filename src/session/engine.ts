import { SessionEvents } from './events.js';
import { SessionExclusive } from './turns.js';
import { SessionLifecycle } from './lifecycle.js';
import type { SessionSettings } from '../nest/session.options.js';
import { SessionRotation } from './rotate.js';

/** What stands behind every session of one store. */
export class SessionEngine {
  readonly events = new SessionEvents();
  readonly lifecycle: SessionLifecycle;
  readonly rotation: SessionRotation;
  readonly exclusive: SessionExclusive;

  constructor(readonly settings: SessionSettings) {
    this.lifecycle = new SessionLifecycle(settings, this.events);
    this.rotation = new SessionRotation(this.lifecycle);
    this.exclusive = new SessionExclusive(this.lifecycle);
  }
}
