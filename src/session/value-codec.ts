import { SessionError } from '../errors.js';
import type { SessionCodec, ValueSettings } from './settings.js';
import { type Encoded, isSameText, plainOf, type Text } from './encoded.js';
import { isDataKey, quote } from './keys.js';
import { isSameValue } from './same-value.js';

export const jsonCodec: SessionCodec = { encode: JSON.stringify, decode: JSON.parse };

/** The application's codec as the values call it: what it fails with names the key. */
export class ValueCodec {
  /** @param onCorrupt is called with the key of a value that cannot be decoded */
  constructor(
    private readonly settings: ValueSettings,
    private readonly onCorrupt?: (key: string) => void,
  ) {}

  /**
   * @param name the key or the path, for the error
   * @param known what the value was read from, or compares with
   * @returns `known` itself, if it stands for the same value: a codec may write one value in many ways
   * @throws {SessionError} if the value cannot be encoded
   */
  encode(name: string, value: unknown, known?: undefined): string;
  encode(name: string, value: unknown, known: Text | undefined): Text;
  encode(name: string, value: unknown, known?: Text): Text {
    checkValue(name, value);
    const text = this.write(name, value);
    if (known === undefined) return text;
    return isSameText(known, text) || this.isWrittenAs(known, value) ? known : text;
  }

  /** Undefined if the text cannot be decoded (S49). */
  decode(key: string, text: Text): unknown {
    try {
      const plain = plainOf(text);
      if (plain !== undefined) return this.settings.codec.decode(plain);
    } catch {
      // As good as one that cannot be opened.
    }
    this.onCorrupt?.(key);
    return undefined;
  }

  /** The data that texts stand for: a plain object without flashes and without what cannot be decoded. */
  decodeAll(texts: Encoded): Record<string, unknown> {
    const data: Record<string, unknown> = {};
    for (const key of Object.keys(texts)) {
      if (!isDataKey(key)) continue;
      const value = this.decode(key, texts[key]!);
      if (value !== undefined) data[key] = value;
    }
    return data;
  }

  /** Whether a text is stored as it is. */
  get isPlain(): boolean {
    return this.settings.encryption === undefined;
  }

  /** Bytes that a text takes where it is stored. */
  readonly sizeOf = (text: Text): number => {
    if (typeof text !== 'string') return Buffer.byteLength(text.sealed);
    const bytes = Buffer.byteLength(text);
    return this.settings.encryption ? this.settings.encryption.sizeOf(bytes) : bytes;
  };

  private write(name: string, value: unknown): string {
    let text: unknown;
    try {
      text = this.settings.codec.encode(value);
    } catch (cause) {
      throw new SessionError(
        `Session: the value of ${quote(name)} cannot be encoded: ${(cause as Error)?.message}`,
        { cause },
      );
    }
    if (typeof text === 'string') return text;
    throw new SessionError(
      `Session: the value of ${quote(name)} cannot be encoded: the codec gave no string.`,
    );
  }

  /** Whether a codec that writes one value in many ways wrote this one as this text. */
  private isWrittenAs(text: Text, value: unknown): boolean {
    const { codec } = this.settings;
    const plain = codec === jsonCodec ? undefined : plainOf(text);
    if (plain === undefined) return false;
    try {
      return isSameValue(codec.decode(plain), value);
    } catch {
      return false;
    }
  }
}

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
