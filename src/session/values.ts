import { SessionError } from '../errors.js';
import type { SessionCodec } from './settings.js';
import { containerFor, isKey, isObject, quote, removeInside, segmentsOf, setInside } from './paths.js';

export type Encoded = Readonly<Record<string, string>>;

/** The keys that differ from what is stored. */
export interface ValueChange {
  readonly set: Record<string, string>;
  readonly remove: string[];
}

/**
 * One key's value in use. It is compared with what is stored only if it may differ: it was set, or an
 * object was handed out, which its holder may change in place.
 */
interface Entry {
  value: unknown;
  stored: string | undefined;
  mayDiffer: boolean;
}

/** Starts the names of the fields that hold flashes: one for each request that flashed something. */
const FLASH = '~flash:';
const NOTHING: Encoded = Object.freeze({});

/**
 * The data of one session as one holder sees it: the encoded values that are stored, those in use, and
 * what differs between the two. A value is decoded when it is first read.
 */
export class SessionValues {
  private readonly entries = new Map<string, Entry>();
  private baseChange: ValueChange | undefined;
  private flashField: string | undefined;
  private arrived: Encoded | undefined;
  private keepFlashes = false;
  private uses = 0;
  private collectedAt = -1;
  private comparedAt = -1;
  private holdsObjects = false;

  constructor(
    private readonly codec: SessionCodec,
    private base: Encoded = NOTHING,
    private readonly onCorrupt?: (key: string) => void,
  ) {}

  get(path: string): unknown {
    if (isKey(path)) return this.read(path).value;
    const segments = segmentsOf(path);
    if (!segments) return undefined;
    let value = this.read(String(segments[0])).value;
    for (let i = 1; i < segments.length; i++) {
      if (!isObject(value) || !Object.hasOwn(value, segments[i]!)) return undefined;
      value = (value as Record<string | number, unknown>)[segments[i]!];
    }
    return value;
  }

  /** @throws {SessionError} for a path or a value that cannot be stored */
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
    const [first, ...rest] = segments;
    if (rest.length === 0) return this.setKey(String(first), value);
    checkValue(path, value);
    const root = this.read(String(first)).value;
    const parent = isObject(root) ? root : containerFor(rest[0]!);
    setInside(parent, rest, value, path);
    this.setKey(String(first), parent);
  }

  /** Sets every key of an object, as it is written: no key is a path here. */
  assign(data: object, what: string): void {
    if (!isObject(data) || Array.isArray(data) || data instanceof Promise) {
      const got = Array.isArray(data)
        ? 'a list'
        : data instanceof Promise
          ? 'a promise'
          : String(data && typeof data);
      throw new SessionError(`${what} must be an object of keys and values; got ${got}.`);
    }
    for (const [key, value] of Object.entries(data)) if (value !== undefined) this.setKey(key, value);
  }

  /** Whether there was something to remove. */
  remove(path: string): boolean {
    const segments = isKey(path) ? [path] : segmentsOf(path);
    if (!segments) return false;
    const [first, ...rest] = segments;
    const entry = this.read(String(first));
    if (rest.length > 0) return isObject(entry.value) && removeInside(entry.value, rest);
    const existed = entry.value !== undefined;
    this.write(String(first), undefined);
    return existed;
  }

  keys(): string[] {
    this.uses++;
    const keys = new Set(Object.keys(this.stored));
    for (const [key, { value }] of this.entries) {
      if (value === undefined) keys.delete(key);
      else keys.add(key);
    }
    return [...keys].filter((key) => !key.startsWith(FLASH));
  }

  clear(): void {
    for (const key of this.keys()) this.write(key, undefined);
  }

  /** A plain copy of the data, without flashes. */
  toJSON(): Record<string, unknown> {
    return this.decodeAll(this.current());
  }

  flash(key: string, value: unknown): void {
    checkValue(key, value);
    if (value !== undefined) this.encode(key, value); // so that an error names the key
    this.flashField ??= FLASH + Math.random().toString(36).slice(2, 10);
    const flashes = this.read(this.flashField).value as [string, unknown][] | undefined;
    this.write(this.flashField, [...(flashes ?? []).filter(([other]) => other !== key), [key, value]]);
  }

  /** What an earlier request flashed under this key. */
  flashed(key: string): unknown {
    for (const field of Object.keys(this.arrivedFlashes()).reverse()) {
      const flashes = this.decode(field, this.arrivedFlashes()[field]!);
      const found =
        Array.isArray(flashes) && (flashes as [string, unknown][]).find(([other]) => other === key);
      if (found) return found[1];
    }
    return undefined;
  }

  reflash(): void {
    this.keepFlashes = true;
  }

  /** Whether anybody looked at a value since all was saved. */
  get wasUsed(): boolean {
    return this.uses !== this.comparedAt;
  }

  /** False only if nothing was looked at since all was saved, and no object is out that may change. */
  get mayDiffer(): boolean {
    return this.uses !== this.comparedAt || this.holdsObjects;
  }

  /**
   * What differs from what is stored, or undefined.
   *
   * @param endFlashes also remove the flashes that an earlier request left for this one
   * @throws {SessionError} naming the key whose value cannot be encoded
   */
  collect(endFlashes: boolean): ValueChange | undefined {
    this.collectedAt = this.uses;
    let change: ValueChange | undefined;
    for (const [key, { value, stored, mayDiffer }] of this.entries) {
      if (!mayDiffer) continue;
      if (value === undefined) {
        if (stored !== undefined) (change ??= { set: {}, remove: [] }).remove.push(key);
        continue;
      }
      const text = this.encode(key, value);
      if (text !== stored) (change ??= { set: {}, remove: [] }).set[key] = text;
    }
    if (endFlashes && !this.keepFlashes) {
      for (const field in this.arrivedFlashes()) {
        if (Object.hasOwn(this.stored, field)) (change ??= { set: {}, remove: [] }).remove.push(field);
      }
    }
    if (!change) this.comparedAt = this.uses;
    return change;
  }

  /** Takes note that a change is stored now. */
  saved(change: ValueChange): void {
    this.arrivedFlashes(); // before this request's own are among what is stored
    this.comparedAt = this.collectedAt;
    this.base = this.stored;
    this.baseChange = change;
    for (const key in change.set) this.noteStored(key, change.set[key]);
    for (const key of change.remove) this.noteStored(key, undefined);
  }

  /** Goes on from what is stored now; what was not saved yet stays to be saved. */
  rebase(stored: Encoded): void {
    this.arrivedFlashes();
    this.base = stored;
    this.baseChange = undefined;
    for (const [key, entry] of this.entries) {
      const text = Object.hasOwn(stored, key) ? stored[key] : undefined;
      if (entry.stored === text) continue;
      // A value that this holder changed stays to be saved; one that was only read gives way to the newer one.
      if (this.isChanged(key, entry)) entry.stored = text;
      else this.entries.delete(key);
    }
  }

  /**
   * The data as a plain object to change at will, and what comes of it: `settle` compares the object with
   * what was stored when it was made, and `accept` makes the result what this holder sees.
   */
  draft(): { data: Record<string, unknown>; settle(): ValueChange | undefined; accept(): void } {
    const stored = this.stored;
    const before = this.current(true);
    const data = this.decodeAll(before);
    // Not the draft's to lose: flashes, and what could not be decoded.
    const kept = Object.entries(before).filter(([key]) => !Object.hasOwn(data, key));
    let after: Record<string, string> = {};
    return {
      data,
      settle: () => {
        after = Object.fromEntries(kept);
        for (const key of Object.keys(data)) {
          if (data[key] === undefined) continue;
          checkKey(key);
          after[key] = this.encode(key, data[key]);
        }
        return difference(stored, after);
      },
      accept: () => {
        for (const [key, entry] of this.entries) {
          const now = entry.value === undefined ? undefined : this.encode(key, entry.value);
          // What was set while the draft was out waits to be saved; what the draft changed gives way to it.
          if (now === before[key] && now !== after[key]) this.entries.delete(key);
        }
      },
    };
  }

  /** Size of the data once `change` is stored: UTF-8 bytes of keys and values, or a quick upper bound if that is below `limit`. */
  bytesWith(change: ValueChange, limit: number): number {
    let length = 0;
    for (const key in this.stored) length += key.length + this.stored[key]!.length;
    for (const key in change.set) length += key.length + change.set[key]!.length;
    if (length * 3 <= limit) return length * 3;
    const after = this.with(change);
    let bytes = 0;
    for (const key in after) bytes += Buffer.byteLength(key) + Buffer.byteLength(after[key]!);
    return bytes;
  }

  bytes(): number {
    return this.bytesWith({ set: {}, remove: [] }, 0);
  }

  /** All of it as it would be stored with `change`. */
  with(change: ValueChange | undefined): Encoded {
    return change ? changed(this.stored, change) : this.stored;
  }

  /** What is stored. A change that was saved is worked in only when somebody looks again, which few requests do. */
  private get stored(): Encoded {
    if (this.baseChange) {
      this.base = changed(this.base, this.baseChange);
      this.baseChange = undefined;
    }
    return this.base;
  }

  private setKey(key: string, value: unknown): void {
    checkKey(key);
    checkValue(key, value);
    this.write(key, value);
  }

  private read(key: string): Entry {
    this.uses++;
    let entry = this.entries.get(key);
    if (!entry) {
      const stored = Object.hasOwn(this.stored, key) ? this.stored[key] : undefined;
      const value = stored === undefined ? undefined : this.decode(key, stored);
      entry = { value, stored, mayDiffer: isObject(value) };
      if (entry.mayDiffer) this.holdsObjects = true;
      this.entries.set(key, entry);
    }
    return entry;
  }

  private write(key: string, value: unknown): void {
    this.uses++;
    if (isObject(value)) this.holdsObjects = true;
    const entry = this.entries.get(key);
    if (entry) {
      entry.value = value;
      entry.mayDiffer = true;
    } else {
      const stored = Object.hasOwn(this.stored, key) ? this.stored[key] : undefined;
      this.entries.set(key, { value, stored, mayDiffer: true });
    }
  }

  private isChanged(key: string, { value, stored, mayDiffer }: Entry): boolean {
    if (!mayDiffer) return false;
    return value === undefined ? stored !== undefined : this.encode(key, value) !== stored;
  }

  private noteStored(key: string, text: string | undefined): void {
    const entry = this.entries.get(key);
    if (entry) entry.stored = text;
  }

  /** All values encoded as they are now. */
  private current(flashesToo = false): Record<string, string> {
    const all: Record<string, string> = {};
    for (const key in this.stored) all[key] = this.stored[key]!;
    for (const [key, { value, mayDiffer }] of this.entries) {
      if (!mayDiffer) continue;
      if (value === undefined) delete all[key];
      else all[key] = this.encode(key, value);
    }
    if (!flashesToo) for (const key in all) if (key.startsWith(FLASH)) delete all[key];
    return all;
  }

  private decodeAll(texts: Encoded): Record<string, unknown> {
    const data: Record<string, unknown> = {};
    for (const key in texts) {
      if (key.startsWith(FLASH)) continue;
      const value = this.decode(key, texts[key]!);
      if (value !== undefined) data[key] = value;
    }
    return data;
  }

  private arrivedFlashes(): Encoded {
    if (!this.arrived) {
      this.arrived = NOTHING;
      for (const key in this.stored) {
        if (key.charCodeAt(0) !== 126 || !key.startsWith(FLASH)) continue;
        this.arrived = { ...this.arrived, [key]: this.stored[key]! };
      }
    }
    return this.arrived;
  }

  private encode(key: string, value: unknown): string {
    let text: unknown;
    try {
      text = this.codec.encode(value);
    } catch (cause) {
      throw new SessionError(
        `Session: the value of ${quote(key)} cannot be encoded: ${(cause as Error)?.message}`,
        { cause },
      );
    }
    if (typeof text === 'string') return text;
    throw new SessionError(
      `Session: the value of ${quote(key)} cannot be encoded: the codec gave no string.`,
    );
  }

  private decode(key: string, text: string): unknown {
    try {
      return this.codec.decode(text);
    } catch {
      this.onCorrupt?.(key);
      return undefined;
    }
  }
}

function checkKey(key: string): void {
  if (key === '__proto__' || key.startsWith(FLASH))
    throw new SessionError(`Session: ${quote(key)} cannot be a key.`);
}

function checkValue(path: string, value: unknown): void {
  if (typeof value !== 'function' && typeof value !== 'symbol') return;
  throw new SessionError(
    `Session: the value of ${quote(path)} is a ${typeof value}, which cannot be stored.`,
  );
}

function changed(stored: Encoded, { set, remove }: ValueChange): Encoded {
  const after = { ...stored, ...set };
  for (const key of remove) delete after[key];
  return after;
}

function difference(before: Encoded, after: Encoded): ValueChange | undefined {
  const change: ValueChange = { set: {}, remove: [] };
  for (const key in after)
    if (!Object.hasOwn(before, key) || before[key] !== after[key]) change.set[key] = after[key]!;
  for (const key in before) if (!Object.hasOwn(after, key)) change.remove.push(key);
  return change.remove.length > 0 || Object.keys(change.set).length > 0 ? change : undefined;
}
