import { SlotIndex } from './slot-index.js';
import { type Column, Int32Column, NONE, PAGE_BITS } from './slots.js';

const NEXT = 0;
const PREVIOUS = 1;

/**
 * The slots of each user: a ring through the slots, found by one of its members. Adding and removing take
 * the same time for a user of one session and of a million.
 */
export class UserIndex {
  /** Belong among the lazy columns of the slots: where nobody logs in, they take nothing. */
  readonly columns: readonly Column[];

  private readonly rings = new Int32Column(2);
  private readonly members: SlotIndex;

  constructor(userIdOf: (slot: number) => string | undefined) {
    this.members = new SlotIndex((slot, userId) => userIdOf(slot) === userId);
    this.columns = [this.rings, this.members.column];
  }

  /** The slot holds this user id. */
  add(slot: number, userId: string): void {
    this.rings.openPage(slot >>> PAGE_BITS);
    const member = this.members.find(userId);
    if (member === NONE) {
      this.connect(slot, slot);
      this.members.add(userId, slot);
    } else {
      this.connect(slot, this.rings.get(member, NEXT));
      this.connect(member, slot);
    }
  }

  /** To be called while the slot still holds the user id that it was added with. */
  remove(slot: number, userId: string): void {
    const next = this.rings.get(slot, NEXT);
    if (next === slot) return this.members.remove(slot);
    if (this.members.find(userId) === slot) this.members.replace(slot, next);
    this.connect(this.rings.get(slot, PREVIOUS), next);
  }

  slotsOf(userId: string): number[] {
    const slots: number[] = [];
    const first = this.members.find(userId);
    if (first === NONE) return slots;
    let slot = first;
    do {
      slots.push(slot);
      slot = this.rings.get(slot, NEXT);
    } while (slot !== first);
    return slots;
  }

  private connect(slot: number, next: number): void {
    this.rings.set(slot, NEXT, next);
    this.rings.set(next, PREVIOUS, slot);
  }
}
