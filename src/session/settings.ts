import type { SessionCodec } from './codec.js';
import type { DataSchema } from './schema.js';
import type { ValueCipher } from './value-cipher.js';

/** How values are written and read. */
export interface ValueSettings {
  readonly codec: SessionCodec;
  readonly encryption?: ValueCipher | undefined;
  readonly schema?: DataSchema | undefined;
}

/** What the core is told, once options are checked: defaults filled in, times in milliseconds. */
export interface SessionSettings extends ValueSettings {
  /** Idle timeout. */
  readonly ttl: number;
  /** `Infinity`: no absolute timeout. */
  readonly absoluteTtl: number;
  /** A session used again sooner than this is not written for the touch alone. Shorter than `ttl`; 0: it always is. */
  readonly touchAfter: number;
  /** What a new session starts with. */
  readonly initial: (() => object) | undefined;
  /** Largest size of one session's data as it is stored, in bytes. */
  readonly maxBytes: number;
  /** Makes the secret part of an id. What it gives is not checked yet. */
  readonly generateId: () => string;
  /** How long the exclusive hold on a session is waited for, and kept at most; a timer can wait for either. */
  readonly lock: { readonly wait: number; readonly hold: number };
  /** How many sessions of one user may live; `Infinity`: any number. The storage has `byUser` then. */
  readonly maxPerUser: number;
  /** What happens when there would be one more: the one that was used longest ago ends, or nobody logs in. */
  readonly whenExceeded: 'end-oldest' | 'refuse';
}
