import { difference, type Encoded, type Text, textIn, type ValueChange } from './encoded.js';
import { checkKey } from './keys.js';
import { isObject } from './paths.js';
import type { ValueCodec } from './value-codec.js';

/** The data as a plain object to change at will, and what comes of it. */
export class Draft {
  readonly data: Record<string, unknown>;
  /** The data as they were given out, of objects no copies. */
  private readonly read: Readonly<Record<string, unknown>>;
  /** Not the draft's to lose: flashes, and what could not be decoded. */
  private readonly kept: readonly string[];
  private after: Encoded;
  /** Defaults among the data, encoded: what is still the same is not stored. */
  private readonly given: Readonly<Record<string, string>>;

  /**
   * @param stored what is stored
   * @param before the data as its holder sees it, with what is not saved yet
   * @param seen defaults that its holder has seen
   * @param accepted makes a holder that sees `before` see `after`
   */
  constructor(
    private readonly codec: ValueCodec,
    private readonly stored: Encoded,
    private readonly before: Encoded,
    seen: Encoded,
    private readonly accepted: (before: Encoded, after: Encoded) => void,
  ) {
    this.data = codec.decodeAll(before, seen);
    const defaults = Object.keys(this.data).filter((key) => !Object.hasOwn(before, key));
    this.given = Object.fromEntries(defaults.map((key) => [key, codec.write(key, this.data[key])]));
    this.kept = Object.keys(before).filter((key) => !Object.hasOwn(this.data, key));
    this.read = { ...this.data };
    this.after = before;
  }

  /**
   * Takes the object as it is now.
   *
   * @returns what differs from what was stored when the draft was made, or undefined
   * @throws {SessionError} naming the key that cannot be stored
   */
  settle(): ValueChange | undefined {
    const after: Record<string, Text> = {};
    for (const key of this.kept) after[key] = this.before[key]!;
    for (const key of Object.keys(this.data)) {
      const value = this.data[key];
      if (value === undefined) continue;
      checkKey(key);
      const given = textIn(this.given, key);
      const known = given ?? textIn(this.before, key);
      // A schema may read what no codec writes: that is nobody's fault who leaves it alone.
      const isLeft = known !== undefined && !isObject(value) && Object.is(value, this.read[key]);
      const text = isLeft ? known : this.codec.encode(key, value, known);
      if (text !== undefined && text !== given) after[key] = text;
    }
    this.after = after;
    return difference(this.stored, after);
  }

  /** Makes what was settled what the holder sees; what the holder changed since the draft was made stays. */
  accept(): void {
    this.accepted(this.before, this.after);
  }
}
