import { ExpiryBuckets } from './expiry-buckets.js';
import { type Float64Column, type Int32Column, NONE, type Slots } from './slots.js';

/** Where a session's deadline is among its times. */
export const EXPIRES_AT = 0;

/** How many slots may be looked at to find the one that has to go; of more, the best so far has to. */
const MAX_LOOKS = 2_000;

/** How many slots a search may still look at. */
export interface Looks {
  left: number;
}

/** When each session expires. Sessions without a user are kept apart, as they are the first that have to go (S60). */
export class Deadlines {
  private readonly visitors: ExpiryBuckets;
  private readonly users: ExpiryBuckets;

  /** @param links belongs among the columns of the slots, as the times do */
  constructor(
    slots: Slots,
    links: Int32Column,
    private readonly times: Float64Column,
  ) {
    this.visitors = new ExpiryBuckets(slots, links);
    this.users = new ExpiryBuckets(slots, links);
  }

  isAlive(slot: number, now: number): boolean {
    return now < this.times.get(slot, EXPIRES_AT);
  }

  /** To be called again when the deadline moves earlier. A later one the buckets find out when they are looked at. */
  file(slot: number, hasUser: boolean, now: number): void {
    this.bucketsOf(hasUser).file(slot, this.times.get(slot, EXPIRES_AT), now);
  }

  /** @param hasUser as when it was filed */
  remove(slot: number, hasUser: boolean): void {
    this.bucketsOf(hasUser).remove(slot);
  }

  /** A slot that has expired, or {@link NONE} when there is none or no look is left. */
  nextExpired(now: number, looks: Looks): number {
    while (looks.left > 0) {
      const buckets = this.visitors.firstDue(now) === NONE ? this.users : this.visitors;
      const slot = buckets.firstDue(now);
      if (slot === NONE) return NONE;
      looks.left--;
      if (!this.isAlive(slot, now)) return slot;
      buckets.refileFirst(this.times.get(slot, EXPIRES_AT), now);
    }
    return NONE;
  }

  /** The slot that has to go for a new one; {@link NONE} when there is no session. */
  firstToGo(now: number): number {
    const visitor = this.earliestOf(this.visitors, now);
    return visitor === NONE ? this.earliestOf(this.users, now) : visitor;
  }

  private earliestOf(buckets: ExpiryBuckets, now: number): number {
    let best = NONE;
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      const slot = buckets.first();
      if (slot === NONE) break;
      const expiresAt = this.times.get(slot, EXPIRES_AT);
      if (buckets.isEarliest(expiresAt)) return slot;
      if (best === NONE || expiresAt < this.times.get(best, EXPIRES_AT)) best = slot;
      buckets.refileFirst(expiresAt, now);
    }
    return best;
  }

  private bucketsOf(hasUser: boolean): ExpiryBuckets {
    return hasUser ? this.users : this.visitors;
  }
}
