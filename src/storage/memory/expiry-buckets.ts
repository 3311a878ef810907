import { Int32Column, NONE, type Slots } from './slots.js';

/**
 * Milliseconds from the start of a bucket to the next one of its kind. What expires far from now rests in
 * wide buckets and moves to a narrower one when that bucket's time comes, so there are few buckets, whether
 * sessions last for a minute or a year.
 */
const WIDTHS = [1, 1_024, 4_096 * 1_024] as const;
const EXACT = 0;

/** Where everything goes that expires later than this: the year 37,648. */
const FAR = 2 ** 50;

const NEXT = 0;
const PREVIOUS = 1;

/**
 * Slots by the time at which they expire.
 *
 * A slot rests in a bucket that starts no later than the slot expires. It may rest in one that is too early:
 * a deadline that moves later moves nothing here, and the slot is filed again when somebody comes to look
 * for it ({@link refileFirst}). Only a deadline that moves earlier has to be told at once.
 */
export class ExpiryBuckets {
  /** The buckets that hold a slot, ascending: what starts first is first, and of those the widest. */
  private readonly keys: number[] = [];
  /** Each bucket is a ring of slots, opened by one slot that holds no session. */
  private readonly rings = new Map<number, number>();
  private readonly keyOfRing = new Map<number, number>();

  /** The column belongs among the columns of the slots. */
  constructor(
    private readonly slots: Slots,
    private readonly links: Int32Column,
  ) {}

  file(slot: number, expiresAt: number, now: number): void {
    this.link(slot, keyFor(expiresAt, kindFor(expiresAt - now)));
  }

  remove(slot: number): void {
    const next = this.links.get(slot, NEXT);
    const previous = this.links.get(slot, PREVIOUS);
    this.connect(previous, next);
    if (next === previous) this.closeBucket(next);
  }

  /** The first slot of the first bucket, or {@link NONE}. */
  first(): number {
    return this.keys.length === 0 ? NONE : this.links.get(this.rings.get(this.keys[0])!, NEXT);
  }

  /** The same, if its bucket has begun: every slot that has expired is in one of those. */
  firstDue(now: number): number {
    return this.keys.length > 0 && startOf(this.keys[0]) <= now ? this.first() : NONE;
  }

  /** Whether nothing expires before the first slot, given when that one does. */
  isEarliest(expiresAt: number): boolean {
    return keyFor(expiresAt, EXACT) === this.keys[0];
  }

  /** Moves the first slot, which is not the earliest, to where it belongs: later, or into a narrower bucket. */
  refileFirst(expiresAt: number, now: number): void {
    const current = this.keys[0];
    const slot = this.first();
    let key = keyFor(expiresAt, kindFor(expiresAt - now));
    if (key <= current) key = keyFor(expiresAt, Math.max(kindOf(current) - 1, EXACT));
    this.remove(slot);
    this.link(slot, key);
  }

  private link(slot: number, key: number): void {
    const ring = this.rings.get(key) ?? this.openBucket(key);
    this.connect(this.links.get(ring, PREVIOUS), slot);
    this.connect(slot, ring);
  }

  private connect(slot: number, next: number): void {
    this.links.set(slot, NEXT, next);
    this.links.set(next, PREVIOUS, slot);
  }

  private openBucket(key: number): number {
    const ring = this.slots.take();
    this.connect(ring, ring);
    this.rings.set(key, ring);
    this.keyOfRing.set(ring, key);
    this.keys.splice(this.placeOf(key), 0, key);
    return ring;
  }

  private closeBucket(ring: number): void {
    const key = this.keyOfRing.get(ring)!;
    this.keyOfRing.delete(ring);
    this.rings.delete(key);
    this.keys.splice(this.placeOf(key), 1);
    this.slots.give(ring);
  }

  /** The place of the first key that is not below this one. New buckets mostly come last, old ones go first. */
  private placeOf(key: number): number {
    let low = 0;
    let high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.keys[middle] < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** A bucket by its start and its kind in one number: wider ones come before narrower ones of the same start. */
function keyFor(expiresAt: number, kind: number): number {
  const time = expiresAt < FAR ? Math.max(Math.ceil(expiresAt), 0) : FAR;
  const width = WIDTHS[kind];
  return Math.floor(time / width) * width * 4 + (3 - kind);
}

function startOf(key: number): number {
  return Math.floor(key / 4);
}

function kindOf(key: number): number {
  return 3 - (key % 4);
}

/** The widest kind whose bucket is sure to start after now, which is why filing always ends. */
function kindFor(remaining: number): number {
  let kind = WIDTHS.length - 1;
  while (kind > EXACT && remaining < WIDTHS[kind] * 2) kind--;
  return kind;
}
