import { SessionError } from '../errors.js';
import { jsonCodec } from './codec.js';
import type { ValueSettings } from './settings.js';
import { type Encoded, isSameText, plainOf, type Text, textIn } from './encoded.js';
import { isDataKey, quote } from './keys.js';
import { isSameValue } from './same-value.js';
import type { Checked } from './schema.js';

/** Is told the key of a value that cannot be read, and the paths of what does not fit. */
type ReportCorrupt = (key: string, issues?: readonly string[]) => void;

/** How values become texts and are read again: by the application's codec, and as its schemas have it. */
export class ValueCodec {
  constructor(
    private readonly settings: ValueSettings,
    private readonly onCorrupt?: ReportCorrupt,
  ) {}

  /**
   * The value of a key as its schema has it.
   *
   * @throws {SessionError} if it cannot be stored
   */
  check(key: string, value: unknown): unknown {
    checkValue(key, value);
    const { schema } = this.settings;
    if (!schema?.has(key)) return value;
    let checked: Checked;
    try {
      checked = schema.checkWritten(key, value);
    } catch (cause) {
      throw unencodable(key, cause);
    }
    if ('value' in checked) return checked.value;
    const places = checked.issues.slice(0, 5).map(quote).join(', ');
    throw new SessionError(
      checked.isReadBack
        ? `Session: the value of ${quote(key)} would not fit its schema when it is read again, at ${places}: a schema must take what it gave, as the codec gives it back (of a Date, JSON makes a text: z.coerce.date() takes both).`
        : `Session: the value of ${quote(key)} does not fit its schema, at ${places}.`,
    );
  }

  /** {@link check} of a value with `change` made in it, tried on a copy. */
  checkChanged(key: string, value: object, change: (copy: object) => void): void {
    if (!this.settings.schema?.has(key)) return;
    const copy: unknown = this.settings.codec.decode(this.write(key, value));
    change(copy as object);
    this.check(key, copy);
  }

  /** What a key has where nothing is stored. */
  defaultOf(key: string): unknown {
    return this.settings.schema?.defaultOf(key);
  }

  /** The keys that have a value where nothing is stored. */
  get defaults(): readonly string[] {
    return this.settings.schema?.defaults ?? [];
  }

  /**
   * A value that is to be stored under a key, checked and encoded.
   *
   * @param known what the value was read from, or compares with
   * @returns `known` itself, if it stands for the same value: a codec may write one value in many ways; undefined if the
   *   schema makes nothing of the value
   * @throws {SessionError} if the value cannot be stored
   */
  encode(key: string, value: unknown, known?: undefined): string | undefined;
  encode(key: string, value: unknown, known: Text | undefined): Text | undefined;
  encode(key: string, value: unknown, known?: Text): Text | undefined {
    const text = this.write(key, value);
    if (known !== undefined && (isSameText(known, text) || this.isWrittenAs(key, known, value))) return known;
    const checked = this.check(key, value);
    if (checked === undefined) return undefined;
    return checked === value ? text : this.write(key, checked);
  }

  /**
   * A value encoded, whatever a schema says.
   *
   * @param name the key or the path, for the error
   * @throws {SessionError} if the value cannot be encoded
   */
  write(name: string, value: unknown): string {
    checkValue(name, value);
    let text: unknown;
    try {
      text = this.settings.codec.encode(value);
    } catch (cause) {
      throw unencodable(name, cause);
    }
    if (typeof text === 'string') return text;
    throw new SessionError(
      `Session: the value of ${quote(name)} cannot be encoded: the codec gave no string.`,
    );
  }

  /** Undefined if the text cannot be decoded, or what it says does not fit (S49, S69). */
  decode(key: string, text: Text): unknown {
    return this.read(key, text, this.onCorrupt);
  }

  /**
   * The data that texts stand for: a plain object without flashes and without what cannot be read.
   *
   * @param given defaults that the holder has seen already, which may be others each time
   */
  decodeAll(texts: Encoded, given: Encoded): Record<string, unknown> {
    const data: Record<string, unknown> = {};
    for (const key of Object.keys(texts)) {
      if (!isDataKey(key)) continue;
      const value = this.decode(key, texts[key]!);
      if (value !== undefined) data[key] = value;
    }
    for (const key of this.defaults) {
      if (Object.hasOwn(texts, key)) continue;
      const seen = textIn(given, key);
      const value = seen === undefined ? this.defaultOf(key) : this.decode(key, seen);
      if (value !== undefined) data[key] = value;
    }
    return data;
  }

  /** Whether a text is stored as it is. */
  get isPlain(): boolean {
    return this.settings.encryption === undefined;
  }

  /** Bytes that a text takes where it is stored. */
  sizeOf(text: Text): number {
    if (typeof text !== 'string') return Buffer.byteLength(text.sealed);
    const bytes = Buffer.byteLength(text);
    return this.settings.encryption ? this.settings.encryption.sizeOf(bytes) : bytes;
  }

  /** Whether a value is what a text stands for, though it is written in another way: as schemas and codecs may. */
  private isWrittenAs(key: string, text: Text, value: unknown): boolean {
    const { codec, schema } = this.settings;
    if (codec === jsonCodec && !schema?.has(key)) return false;
    const read = this.read(key, text);
    return read !== undefined && isSameValue(read, value);
  }

  private read(key: string, text: Text, report?: ReportCorrupt): unknown {
    let issues: readonly string[] | undefined;
    try {
      const plain = plainOf(text);
      if (plain !== undefined) {
        const { codec, schema } = this.settings;
        const value: unknown = codec.decode(plain);
        if (!schema?.has(key)) return value;
        const checked = schema.check(key, value);
        if ('value' in checked) return checked.value;
        issues = checked.issues;
      }
    } catch {
      // It is reported like what cannot be opened.
    }
    report?.(key, issues);
    return undefined;
  }
}

const unencodable = (name: string, cause: unknown): SessionError =>
  new SessionError(`Session: the value of ${quote(name)} cannot be encoded: ${(cause as Error)?.message}`, {
    cause,
  });

/**
 * What no codec is given. Whether other values can be encoded is found out when they are saved, and not here as well.
 *
 * @throws {SessionError} for a function and a symbol
 */
export function checkValue(name: string, value: unknown): void {
  if (typeof value !== 'function' && typeof value !== 'symbol') return;
  throw new SessionError(
    `Session: the value of ${quote(name)} is a ${typeof value}, which cannot be stored.`,
  );
}
