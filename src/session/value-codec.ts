import { SessionError } from '../errors.js';
import type { SessionCodec } from './settings.js';
import type { Encoded } from './encoded.js';
import { isDataKey, quote } from './keys.js';

/** The application's codec as the values call it: what it fails with names the key. */
export class ValueCodec {
  /** @param onCorrupt is called with the key of a value that cannot be decoded */
  constructor(
    private readonly codec: SessionCodec,
    private readonly onCorrupt?: (key: string) => void,
  ) {}

  /**
   * @param name the key or the path, for the error
   * @throws {SessionError} if the value cannot be encoded
   */
  encode(name: string, value: unknown): string {
    checkValue(name, value);
    let text: unknown;
    try {
      text = this.codec.encode(value);
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

  /** Undefined if the text cannot be decoded (S49). */
  decode(key: string, text: string): unknown {
    try {
      return this.codec.decode(text);
    } catch {
      this.onCorrupt?.(key);
      return undefined;
    }
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
