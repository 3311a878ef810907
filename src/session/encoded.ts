/** Encoded values by key, as they are stored. Own keys alone count: one may be named like what every object has (S48). */
export type Encoded = Readonly<Record<string, string>>;

/** The keys that differ from what is stored. */
export interface ValueChange {
  readonly set: Record<string, string>;
  readonly remove: string[];
}

export const textIn = (texts: Encoded, key: string): string | undefined =>
  Object.hasOwn(texts, key) ? texts[key] : undefined;

export function changed(stored: Encoded, { set, remove }: ValueChange): Encoded {
  const after = { ...stored, ...set };
  for (const key of remove) delete after[key];
  return after;
}

export function difference(before: Encoded, after: Encoded): ValueChange | undefined {
  const change: ValueChange = { set: {}, remove: [] };
  for (const key of Object.keys(after)) {
    if (textIn(before, key) !== after[key]) change.set[key] = after[key]!;
  }
  for (const key of Object.keys(before)) if (!Object.hasOwn(after, key)) change.remove.push(key);
  return change.remove.length > 0 || Object.keys(change.set).length > 0 ? change : undefined;
}

/** UTF-8 bytes of keys and values. */
export function bytesOf(texts: Encoded): number {
  let bytes = 0;
  for (const key of Object.keys(texts)) bytes += Buffer.byteLength(key) + Buffer.byteLength(texts[key]!);
  return bytes;
}

/** UTF-16 units of keys and values: a third of what they take in UTF-8 at most. */
export function lengthOf(texts: Encoded): number {
  let length = 0;
  for (const key of Object.keys(texts)) length += key.length + texts[key]!.length;
  return length;
}
