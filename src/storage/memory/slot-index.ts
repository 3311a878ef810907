import { randomInt } from 'node:crypto';
import { type Column, Int32Column, NONE, PAGE_BITS, PAGE_SIZE, IN_PAGE } from './slots.js';

const HASH = 0;
const NEXT = 1;

/**
 * Finds slots by a string that each slot holds already, so the string is not kept twice.
 *
 * Linear hashing: every slot that is added splits one chain in two, every one that is removed may join
 * two chains again. There is never a moment at which everything is hashed anew, which is what a `Map` of a
 * million entries does, for 100 ms, when it grows.
 */
export class SlotIndex {
  /** Belongs among the lazy columns of the {@link Slots}. */
  readonly column: Column;

  private readonly chains = new Int32Column(2);
  private readonly heads: Int32Array[] = [];
  private headCount = 0;
  /** The greatest power of two that is not above `headCount`. */
  private base = 1;
  private size = 0;
  /** Unknown outside, so that nobody can choose strings that fall into one chain. */
  private readonly seed = randomInt(2 ** 32);

  constructor(private readonly matches: (slot: number, key: string) => boolean) {
    this.column = this.chains;
    this.addHead();
  }

  /** The slot that holds this string, or {@link NONE}. */
  find(key: string): number {
    const hash = this.hash(key);
    let slot = this.head(this.chainOf(hash));
    while (slot !== NONE && (this.chains.get(slot, HASH) !== hash || !this.matches(slot, key))) {
      slot = this.chains.get(slot, NEXT);
    }
    return slot;
  }

  /** The slot must not be in the index, and no other may hold the string. */
  add(key: string, slot: number): void {
    this.chains.openPage(slot >>> PAGE_BITS);
    const hash = this.hash(key);
    this.chains.set(slot, HASH, hash);
    this.push(this.chainOf(hash), slot);
    this.size++;
    if (this.size > this.headCount) this.split();
  }

  /** The slot must be in the index. */
  remove(slot: number): void {
    this.exchange(slot, this.chains.get(slot, NEXT));
    this.size--;
    while (this.size < this.headCount >>> 2) this.join();
  }

  /** Puts another slot, which holds the same string, in the place of one. */
  replace(slot: number, other: number): void {
    this.chains.openPage(other >>> PAGE_BITS);
    this.chains.set(other, HASH, this.chains.get(slot, HASH));
    this.chains.set(other, NEXT, this.chains.get(slot, NEXT));
    this.exchange(slot, other);
  }

  /** Makes what leads to `slot` lead to `other`. */
  private exchange(slot: number, other: number): void {
    const chain = this.chainOf(this.chains.get(slot, HASH));
    let before = this.head(chain);
    if (before === slot) return this.setHead(chain, other);
    while (this.chains.get(before, NEXT) !== slot) before = this.chains.get(before, NEXT);
    this.chains.set(before, NEXT, other);
  }

  private split(): void {
    const added = this.headCount;
    const from = added - this.base;
    this.addHead();
    let slot = this.head(from);
    this.setHead(from, NONE);
    while (slot !== NONE) {
      const next = this.chains.get(slot, NEXT);
      this.push(this.chainOf(this.chains.get(slot, HASH)), slot);
      slot = next;
    }
  }

  private join(): void {
    let slot = this.head(this.headCount - 1);
    this.dropHead();
    while (slot !== NONE) {
      const next = this.chains.get(slot, NEXT);
      this.push(this.chainOf(this.chains.get(slot, HASH)), slot);
      slot = next;
    }
  }

  private chainOf(hash: number): number {
    const chain = hash & (this.base * 2 - 1);
    return chain < this.headCount ? chain : chain - this.base;
  }

  private push(chain: number, slot: number): void {
    this.chains.set(slot, NEXT, this.head(chain));
    this.setHead(chain, slot);
  }

  private head(chain: number): number {
    return this.heads[chain >>> PAGE_BITS][chain & IN_PAGE];
  }

  private setHead(chain: number, slot: number): void {
    this.heads[chain >>> PAGE_BITS][chain & IN_PAGE] = slot;
  }

  private addHead(): void {
    const page = this.headCount >>> PAGE_BITS;
    this.heads[page] ??= new Int32Array(PAGE_SIZE).fill(NONE);
    this.headCount++;
    if (this.headCount === this.base * 2) this.base = this.headCount;
  }

  private dropHead(): void {
    this.setHead(this.headCount - 1, NONE);
    if (this.headCount === this.base) this.base /= 2;
    this.headCount--;
    this.heads.length = ((this.headCount - 1) >>> PAGE_BITS) + 1;
  }

  /** FNV-1a from a secret start; its low bits choose the chain, so the high ones are folded in. */
  private hash(key: string): number {
    let hash = this.seed | 0;
    for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
    return hash ^ (hash >>> 15);
  }
}
