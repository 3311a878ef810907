import { SessionError } from '../errors.js';
import { Draft } from './draft.js';
import { type Encoded, isSameText, type Text, textIn, type ValueChange } from './encoded.js';
import { Flashes } from './flashes.js';
import { checkKey, COOKIE, FOREIGN_COOKIE, isDataKey, isFlashField, quote } from './keys.js';
import { containerFor, getInside, isKey, isObject, removeInside, segmentsOf, setInside } from './paths.js';
import { StoredTexts } from './stored-texts.js';
import { checkValue, type ValueCodec } from './value-codec.js';

export type { Encoded, ValueChange };

/** One key's value in use. */
interface Entry {
  value: unknown;
  /**
   * The value encoded, once it was needed. Of an object, which its holder may change in place, it says nothing: that is
   * encoded anew. A value that cannot be decoded is undefined and keeps its text.
   */
  text: Text | undefined;
  /** What is stored under the key. */
  stored: Text | undefined;
  /** The value is a default, of which nothing is to be stored while it is this when it is encoded. */
  given?: string | undefined;
}

const NOTHING: Encoded = Object.freeze({});

/**
 * The data of one session as one holder sees it: the encoded values that are stored, those in use, and
 * what differs between the two. A value is decoded when it is first read.
 */
export class SessionValues {
  private readonly entries = new Map<string, Entry>();
  /** What was stored when this holder began: the flashes among it are for this holder. */
  private readonly first: Encoded;
  private readonly texts: StoredTexts;
  /** Something was set, or an object handed out, since all was compared with what is stored; or flashes may have to end. */
  private unchecked: boolean;
  /** Some value is an object, which its holder may change in place. */
  private hasObjects = false;
  /** What differed when all was compared, until it is saved. */
  private unsaved: ValueChange | undefined;
  private someFlashes: Flashes | undefined;

  /** @param base what is stored; nobody changes it */
  constructor(
    private readonly codec: ValueCodec,
    base: Encoded = NOTHING,
  ) {
    this.first = base;
    this.unchecked = Object.keys(base).some(isFlashField);
    this.texts = new StoredTexts(codec, base);
  }

  // ── by path ────────────────────────────────────────────────────────────────────────────────────────

  get(path: string): unknown {
    if (isKey(path)) return this.getKey(path);
    const segments = segmentsOf(path);
    return segments && getInside(this.getKey(String(segments[0])), segments.slice(1));
  }

  /** @throws {SessionError} for a path or a value that cannot be stored; then nothing is changed */
  set(path: string, value: unknown): void {
    if (typeof path !== 'string') throw new SessionError(`Session: a path is a string; got ${typeof path}.`);
    if (value === undefined) return void this.remove(path);
    if (isKey(path)) return this.setKey(path, value);
    const segments = segmentsOf(path);
    if (!segments) {
      throw new SessionError(
        `Session: ${quote(path)} cannot be set: "__proto__", "constructor" and "prototype" are no parts of a path.`,
      );
    }
    const key = String(segments[0]);
    if (segments.length === 1) return this.setKey(key, value);
    checkKey(key);
    checkValue(path, value);
    const root = this.read(key);
    const parent = isObject(root) ? root : containerFor(segments[1]!);
    const change = (object: object) => setInside(object, segments.slice(1), value, path);
    this.codec.checkChanged(key, parent, change);
    change(parent);
    this.write(key, parent);
  }

  /** Whether there was something to remove. */
  remove(path: string): boolean {
    const segments = isKey(path) ? [path] : segmentsOf(path);
    if (!segments) return false;
    const key = String(segments[0]);
    return segments.length === 1 ? this.removeKey(key) : removeInside(this.getKey(key), segments.slice(1));
  }

  // ── by key ─────────────────────────────────────────────────────────────────────────────────────────

  /** The value of a key as it is written: no key is a path here. */
  getKey(key: string): unknown {
    return isDataKey(key) ? this.read(key) : undefined;
  }

  /** @throws {SessionError} for a key or a value that cannot be stored; then nothing is changed */
  setKey(key: string, value: unknown): void {
    checkKey(key);
    this.write(key, this.codec.check(key, value));
  }

  /** Whether there was a value to remove. A default counts as none; so does what cannot be read, and is removed. */
  removeKey(key: string): boolean {
    const existed = this.getKey(key) !== undefined && this.entries.get(key)?.given === undefined;
    if (isDataKey(key)) this.write(key, undefined);
    return existed;
  }

  /** Sets every key of an object, as it is written. */
  assign(data: object, what: string): void {
    if (!isObject(data) || Array.isArray(data) || data instanceof Promise) {
      const got = Array.isArray(data)
        ? 'a list'
        : data instanceof Promise
          ? 'a promise'
          : String(data && typeof data);
      throw new SessionError(`${what} must be an object of keys and values; got ${got}.`);
    }
    for (const [key, value] of Object.entries(data)) {
      if (value === undefined) continue;
      this.setKey(key, value);
    }
  }

  keys(): string[] {
    const keys = new Set(Object.keys(this.stored));
    for (const [key, { value }] of this.entries) {
      if (value === undefined) keys.delete(key);
      else keys.add(key);
    }
    for (const key of this.codec.defaults) {
      if (!keys.has(key) && this.read(key) !== undefined) keys.add(key);
    }
    return [...keys].filter(isDataKey);
  }

  /** Removes all data, what cannot be decoded included; flashes stay. */
  clear(): void {
    for (const key of [...Object.keys(this.stored), ...this.entries.keys()]) this.removeKey(key);
  }

  /** A plain copy of the data, without flashes. */
  toJSON(): Record<string, unknown> {
    return this.codec.decodeAll(this.current(), this.given());
  }

  get flashes(): Flashes {
    return (this.someFlashes ??= new Flashes(this.first, this.codec, {
      read: (field) => this.read(field),
      write: (field, flashes) => this.write(field, flashes),
    }));
  }

  /** Attributes of this session's cookie that are not as the application has them for all. */
  get cookie(): object | undefined {
    const own = this.read(COOKIE);
    return isObject(own) ? own : undefined;
  }

  set cookie(own: object | undefined) {
    this.write(COOKIE, own);
  }

  /** Attributes of the cookie of the library that this session comes from. */
  get foreignCookie(): object | undefined {
    const its = this.read(FOREIGN_COOKIE);
    return isObject(its) ? its : undefined;
  }

  set foreignCookie(its: object | undefined) {
    this.write(FOREIGN_COOKIE, its);
  }

  // ── against what is stored ─────────────────────────────────────────────────────────────────────────

  /** Whether something was set, or an object handed out, since all was saved. */
  get wasUsed(): boolean {
    return this.unchecked || this.unsaved !== undefined;
  }

  /** False only if nothing can differ from what is stored: an object that is out may have been changed in place. */
  get mayDiffer(): boolean {
    return this.wasUsed || this.hasObjects;
  }

  /**
   * What differs from what is stored, or undefined.
   *
   * @param endFlashes also remove the flashes that an earlier request left for this one
   * @throws {SessionError} naming the key whose value cannot be encoded
   */
  collect(endFlashes: boolean): ValueChange | undefined {
    let change: ValueChange | undefined;
    for (const [key, entry] of this.entries) {
      const text = this.textOf(key, entry);
      if (text === entry.stored) continue;
      change ??= { set: {}, remove: [] };
      if (typeof text === 'string') change.set[key] = text;
      else change.remove.push(key);
    }
    if (endFlashes && !this.someFlashes?.kept) {
      for (const field of Object.keys(this.first)) {
        if (!isFlashField(field) || !Object.hasOwn(this.stored, field)) continue;
        (change ??= { set: {}, remove: [] }).remove.push(field);
      }
    }
    this.unchecked = false;
    this.unsaved = change;
    return change;
  }

  /** Takes note that a change is stored now: the very one that {@link collect} or a draft gave. */
  saved(change: ValueChange): void {
    this.texts.saved(change);
    for (const key of Object.keys(change.set)) this.noteStored(key, change.set[key]);
    for (const key of change.remove) this.noteStored(key, undefined);
    if (change === this.unsaved) this.unsaved = undefined;
  }

  /**
   * Goes on from what is stored now. A value that this holder changed stays to be saved; one that was only read gives
   * way to the newer one.
   */
  rebase(stored: Encoded): void {
    this.texts.all = stored;
    for (const [key, entry] of this.entries) {
      const text = textIn(stored, key);
      if (isSameText(text, entry.stored)) continue;
      if (this.textOf(key, entry) === entry.stored) this.entries.delete(key);
      else entry.stored = text;
    }
  }

  /** Drops what is not saved; objects that are out are no part of it any more. */
  revert(): void {
    this.entries.clear();
    this.unsaved = undefined;
  }

  /** The data as a plain object to change, what is not saved yet included. */
  draft(): Draft {
    return new Draft(this.codec, this.stored, this.current(), this.given(), (before, after) => {
      for (const [key, entry] of this.entries) {
        const known = textIn(before, key);
        if (this.textOf(key, entry, known) !== known) continue;
        if (!isSameText(known, textIn(after, key))) this.entries.delete(key);
      }
    });
  }

  /** {@link StoredTexts.with} */
  with(change: ValueChange | undefined): Encoded {
    return this.texts.with(change);
  }

  /** {@link StoredTexts.bytes} */
  bytes(): number {
    return this.texts.bytes();
  }

  /** {@link StoredTexts.bytesWith} */
  bytesWith(change: ValueChange, limit: number): number {
    return this.texts.bytesWith(change, limit);
  }

  private get stored(): Encoded {
    return this.texts.all;
  }

  private read(key: string): unknown {
    let entry = this.entries.get(key);
    if (!entry) {
      const stored = textIn(this.stored, key);
      if (stored === undefined) return this.readDefault(key);
      entry = { value: this.codec.decode(key, stored), text: stored, stored };
      this.entries.set(key, entry);
    } else if (entry.value === undefined && entry.text === undefined) return this.readDefault(key);
    if (isObject(entry.value)) this.unchecked = this.hasObjects = true;
    return entry.value;
  }

  /** What a key has where there is nothing, kept like a value: an object may be changed in place. */
  private readDefault(key: string): unknown {
    const value = this.codec.defaultOf(key);
    if (value === undefined) return undefined;
    const given = this.codec.write(key, value);
    this.entries.set(key, { value, text: undefined, stored: textIn(this.stored, key), given });
    if (isObject(value)) this.unchecked = this.hasObjects = true;
    return value;
  }

  private write(key: string, value: unknown): void {
    this.unchecked = true;
    if (isObject(value)) this.hasObjects = true;
    const entry = this.entries.get(key);
    if (entry) {
      entry.value = value;
      entry.text = entry.given = undefined;
    } else {
      this.entries.set(key, { value, text: undefined, stored: textIn(this.stored, key) });
    }
  }

  private noteStored(key: string, text: string | undefined): void {
    const entry = this.entries.get(key);
    if (entry) entry.stored = text;
  }

  /**
   * The value of a key encoded as it is now; undefined if it is removed.
   *
   * @returns `known` itself, if it stands for the same value
   */
  private textOf(key: string, entry: Entry, known = entry.stored): Text | undefined {
    const { value, text, given } = entry;
    if (given !== undefined && (!isObject(value) || this.codec.encode(key, value, given) === given)) {
      return undefined;
    }
    if (isObject(value)) return this.codec.encode(key, value, known);
    if (value !== undefined && text === undefined) {
      return (entry.text = this.codec.encode(key, value, known));
    }
    return isSameText(text, known) ? known : text;
  }

  /** The defaults that were read, encoded. */
  private given(): Encoded {
    const all: Record<string, string> = {};
    for (const [key, { given }] of this.entries) if (given !== undefined) all[key] = given;
    return all;
  }

  /** All values encoded as they are now, flashes included. */
  private current(): Encoded {
    const all = { ...this.stored };
    for (const [key, entry] of this.entries) {
      const text = this.textOf(key, entry);
      if (text === undefined) delete all[key];
      else all[key] = text;
    }
    return all;
  }
}
