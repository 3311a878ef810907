import { SessionEvents } from './session.events.js';
import { SessionExclusive } from './session.exclusive.js';
import { SessionLifecycle } from './session.lifecycle.js';
import type { SessionSettings } from './session.options.js';
import { SessionRotation } from './session.rotation.js';

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
