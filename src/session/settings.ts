/** What the core is told, once options are checked. Times are milliseconds. */
export interface SessionSettings {
  readonly ttl: number;
  /** `Infinity`: no absolute timeout. */
  readonly absoluteTtl: number;
  readonly touchAfter: number;
  readonly initial: (() => object) | undefined;
  readonly codec: SessionCodec;
  readonly maxBytes: number;
  readonly generateId: () => string;
  readonly lock: { readonly wait: number; readonly hold: number };
}

/**
 * How one value is written into a storage and read back. A value that was not changed must be written as the same
 * text again, or every request that reads it writes it.
 */
export interface SessionCodec {
  encode(value: unknown): string;
  decode(text: string): unknown;
}
