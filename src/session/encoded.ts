/** A text as it lies in the storage, sealed: it is opened when it is first needed. */
export class SealedText {
  private opened: string | undefined;
  private wasOpened = false;

  /** @param open gives undefined if the text cannot be opened */
  constructor(
    readonly sealed: string,
    private readonly open: (sealed: string) => string | undefined,
  ) {}

  /** Undefined if it cannot be opened. */
  get plain(): string | undefined {
    if (!this.wasOpened) {
      this.opened = this.open(this.sealed);
      this.wasOpened = true;
    }
    return this.opened;
  }
}

/** One value encoded; as a {@link SealedText} if it comes from a storage that holds it encrypted. */
export type Text = string | SealedText;

/** Encoded values by key, as they are stored. Own keys alone count: one may be named like what every object has (S48). */
export type Encoded = Readonly<Record<string, Text>>;

/** The keys that differ from what is stored. */
export interface ValueChange {
  readonly set: Record<string, string>;
  readonly remove: string[];
}

export const textIn = (texts: Encoded, key: string): Text | undefined =>
  Object.hasOwn(texts, key) ? texts[key] : undefined;

/** Undefined if it cannot be opened. */
export const plainOf = (text: Text): string | undefined => (typeof text === 'string' ? text : text.plain);

/** Whether two texts say the same. What cannot be opened is the same as itself alone. */
export function isSameText(one: Text | undefined, other: Text | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false;
  if (typeof one === 'string' && typeof other === 'string') return false;
  if (typeof one !== 'string' && typeof other !== 'string' && one.sealed === other.sealed) return true;
  const plain = plainOf(one);
  return plain !== undefined && plain === plainOf(other);
}

export function changed(stored: Encoded, { set, remove }: ValueChange): Encoded {
  const after = { ...stored, ...set };
  for (const key of remove) delete after[key];
  return after;
}

export function difference(before: Encoded, after: Encoded): ValueChange | undefined {
  const change: ValueChange = { set: {}, remove: [] };
  for (const key of Object.keys(after)) {
    const text = after[key]!;
    // What is sealed comes from `before`, where it stays as it is.
    if (typeof text === 'string' && !isSameText(textIn(before, key), text)) change.set[key] = text;
  }
  for (const key of Object.keys(before)) if (!Object.hasOwn(after, key)) change.remove.push(key);
  return change.remove.length > 0 || Object.keys(change.set).length > 0 ? change : undefined;
}

/** UTF-8 bytes of keys and values, as they are stored. */
export function bytesOf(texts: Encoded, codec: { sizeOf(text: Text): number }): number {
  let bytes = 0;
  for (const key of Object.keys(texts)) bytes += Buffer.byteLength(key) + codec.sizeOf(texts[key]!);
  return bytes;
}

/** UTF-16 units of keys and values that are not sealed: a third of what they take in UTF-8 at most. */
export function lengthOf(texts: Encoded): number {
  let length = 0;
  for (const key of Object.keys(texts)) length += key.length + (texts[key] as string).length;
  return length;
}
