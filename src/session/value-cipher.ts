import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hash,
  type KeyObject,
  randomFillSync,
  scryptSync,
} from 'node:crypto';
import { isOptions, kindOf, type OptionRule, type OptionRules } from '../rules.js';
import { RecordData, type SessionRecord } from '../storage/record.js';
import type { SessionChange } from '../storage/session-storage.js';
import { type Encoded, SealedText } from './encoded.js';

/** A key: 32 bytes, or a text of which 32 bytes are made. */
export type EncryptionKey = Uint8Array | string;

export interface EncryptionOptions {
  /** The first writes, all read. Each is 32 random bytes, or a text, which is stretched once at the start. */
  keys: readonly EncryptionKey[];
  /** Until then values are read that were stored before there was encryption. Default: none is. */
  readPlain?: Date | undefined;
}

/** What is encrypted of a record: a value of its data, by key, or what is known of the client. */
export type Place = `data:${string}` | 'client';

/** What is encrypted of a record, or of a change of one. */
type Texts = Partial<Pick<SessionChange, 'set' | 'client'> & Pick<SessionRecord, 'data'>>;

const ALGORITHM = 'aes-256-gcm';
/** Goes before a key, so that its id says nothing of the key's own hash. */
const KEY_ID = Buffer.alloc(16, 'key id');
const NONCE = 12;
const TAG = 16;
/** What a sealed text begins with: a mark that no JSON begins with, and the id of its key. */
const FORM = /^~1\.([\w-]{8})\.([\w-]+)$/;
const HEAD = '~1.12345678.'.length;

/**
 * Encrypts the texts of records, AES-256-GCM with random nonces. The handle and the place in the record are part of what
 * is authenticated: a text that was moved to another session or another key does not open (S68).
 */
export class ValueCipher {
  readonly #keys = new Map<string, KeyObject>();
  readonly #current: string;
  readonly #readPlain: number;

  constructor({ keys, readPlain }: EncryptionOptions) {
    for (const key of keys) {
      const bytes = typeof key === 'string' ? stretched(key) : key;
      const id = hash('sha256', Buffer.concat([KEY_ID, bytes]), 'base64url');
      this.#keys.set(id.slice(0, 8), createSecretKey(bytes));
    }
    [this.#current = ''] = this.#keys.keys();
    this.#readPlain = readPlain?.getTime() ?? -Infinity;
  }

  seal(text: string, handle: string, place: Place): string {
    const nonce = nextNonce();
    const cipher = createCipheriv(ALGORITHM, this.#keys.get(this.#current)!, nonce);
    cipher.setAAD(associated(handle, place));
    const sealed = cipher.update(text, 'utf8');
    cipher.final();
    return `~1.${this.#current}.${Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64url')}`;
  }

  /** Undefined if the text was not sealed with one of the keys for this very place. */
  open(text: string, handle: string, place: Place): string | undefined {
    const [, id, sealed] = FORM.exec(text) ?? [];
    if (id === undefined || sealed === undefined) return Date.now() < this.#readPlain ? text : undefined;
    const key = this.#keys.get(id);
    const bytes = Buffer.from(sealed, 'base64url');
    if (!key || bytes.length < NONCE + TAG) return undefined;
    const tag = bytes.subarray(-TAG);
    const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE), { authTagLength: TAG });
    decipher.setAAD(associated(handle, place)).setAuthTag(tag);
    const plain = decipher.update(bytes.subarray(NONCE, -TAG));
    try {
      decipher.final();
      return plain.toString();
    } catch {
      return undefined;
    }
  }

  /** The texts of a new record, or of a change, encrypted. */
  sealAll<T extends Texts>(handle: string, texts: T): T {
    const { data, set, client } = texts;
    return {
      ...texts,
      ...(data && { data: this.sealData(data, handle) }),
      ...(set && { set: this.sealData(set, handle) }),
      ...(typeof client === 'string' && { client: this.seal(client, handle, 'client') }),
    };
  }

  /** What is stored under the keys of the data, to be opened when it is needed. */
  openData({ handle, data }: Pick<SessionRecord, 'handle' | 'data'>): Encoded {
    const texts = new RecordData<SealedText>();
    for (const key of Object.keys(data)) {
      texts[key] = new SealedText(data[key]!, (text) => this.open(text, handle, `data:${key}`));
    }
    return texts;
  }

  /** The same for what is known of the client. */
  openClient(client: string, handle: string): SealedText {
    return new SealedText(client, (text) => this.open(text, handle, 'client'));
  }

  private sealData(data: Readonly<Record<string, string>>, handle: string): Record<string, string> {
    const sealed = new RecordData();
    for (const key of Object.keys(data)) sealed[key] = this.seal(data[key]!, handle, `data:${key}`);
    return sealed;
  }

  /** How many bytes a text of so many bytes takes, sealed. */
  sizeOf(bytes: number): number {
    return HEAD + Math.ceil(((NONCE + bytes + TAG) * 4) / 3);
  }
}

/** Random bytes are cheap by the thousand and dear by the dozen. */
const nonces = Buffer.alloc(NONCE * 256);
let used = nonces.length;

function nextNonce(): Buffer {
  if (used === nonces.length) {
    randomFillSync(nonces);
    used = 0;
  }
  return Buffer.from(nonces.subarray(used, (used += NONCE)));
}

/** The length of the handle comes first, so that no two pairs of handle and place are written alike. */
const associated = (handle: string, place: Place): Buffer =>
  Buffer.from(`${handle.length}:${handle}:${place}`);

/** The salt is fixed, so that all nodes make the same key of the same text. 32 MB, and a tenth of a second. */
const stretched = (text: string): Buffer =>
  scryptSync(text, 'nest-sessions encryption', 32, { N: 2 ** 15, r: 8, p: 1, maxmem: 2 ** 26 });

const isKey = (key: unknown): key is EncryptionKey =>
  typeof key === 'string' ? key !== '' : key instanceof Uint8Array && key.length === 32;

const isSameKey = (one: EncryptionKey, other: EncryptionKey): boolean =>
  typeof one === 'string' || typeof other === 'string' ? one === other : Buffer.compare(one, other) === 0;

/** The place in a list of a key that is the same as one before it; -1 if there is none. */
const repeated = (keys: readonly EncryptionKey[]): number =>
  keys.findIndex((key, i) => keys.slice(0, i).some((other) => isSameKey(key, other)));

export const keysRule = {
  takes: 'a list of different keys, each 32 bytes (a Buffer) or a text that is not empty; the first writes',
  accepts: (keys) => Array.isArray(keys) && keys.length > 0 && keys.every(isKey) && repeated(keys) < 0,
  // What is wrong, and nothing of a key.
  shows: (keys) => {
    if (!Array.isArray(keys)) return kindOf(keys);
    const wrong = keys.findIndex((key) => !isKey(key));
    const key: unknown = keys[wrong];
    const got = key instanceof Uint8Array ? `${key.length} bytes` : kindOf(key);
    if (wrong >= 0) return `${got} for key ${wrong + 1} of ${keys.length}`;
    return keys.length === 0
      ? kindOf(keys)
      : `the same key twice, as key ${repeated(keys) + 1} of ${keys.length}`;
  },
} satisfies OptionRule;

export const encryptionRule: OptionRule = {
  takes: 'an object with keys',
  accepts: isOptions,
  members: {
    keys: keysRule,
    readPlain: {
      takes: 'a Date, until which values are read that are not encrypted',
      accepts: (date) => date instanceof Date && !Number.isNaN(date.getTime()),
    },
  } satisfies OptionRules<EncryptionOptions>,
  shows: kindOf,
};
