import { bytesOf, changed, type Encoded, lengthOf, type ValueChange } from './encoded.js';
import type { ValueCodec } from './value-codec.js';

/** What is stored of one session's data, as its holder knows. */
export class StoredTexts {
  /** A saved change that is not worked into `base` yet: few requests read on after they saved, and 50 keys take 20 µs. */
  private change: ValueChange | undefined;

  /** @param base nobody changes it */
  constructor(
    private readonly codec: ValueCodec,
    private base: Encoded,
  ) {}

  get all(): Encoded {
    if (this.change) {
      this.base = changed(this.base, this.change);
      this.change = undefined;
    }
    return this.base;
  }

  set all(base: Encoded) {
    this.base = base;
    this.change = undefined;
  }

  /** Takes note that a change is stored now. */
  saved(change: ValueChange): void {
    this.base = this.all;
    this.change = change;
  }

  /** All of it as it would be stored with `change`. */
  with(change: ValueChange | undefined): Encoded {
    return change ? changed(this.all, change) : this.all;
  }

  /** Size of what is stored: UTF-8 bytes of keys and values. */
  bytes(): number {
    return bytesOf(this.all, this.codec);
  }

  /**
   * Size once `change` is stored: UTF-8 bytes of keys and values. Where an upper bound that is cheaper to find is at
   * most `limit`, it is the answer.
   */
  bytesWith(change: ValueChange, limit: number): number {
    const bound = this.codec.isPlain ? 3 * (lengthOf(this.all) + lengthOf(change.set)) : Infinity;
    return bound <= limit ? bound : bytesOf(this.with(change), this.codec);
  }
}
