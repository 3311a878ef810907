import { types } from 'node:util';

/** The keys of objects in the order that they have, or in whichever. */
type Order = 'in order' | 'in any order';

/** Whether two values are the same. Of objects of one's own classes nobody can tell: those are not. */
export function isSameValue(
  one: unknown,
  other: unknown,
  order: Order = 'in order',
  seen = new Map<unknown, unknown>(),
): boolean {
  if (Object.is(one, other) || (seen.has(one) && seen.get(one) === other)) return true;
  const [parts, others] = [partsOf(one, order), partsOf(other, order)];
  if (!parts || parts.length !== others?.length) return false;
  seen.set(one, other);
  return parts.every((part, i) => isSameValue(part, others[i], order, seen));
}

/** What an object consists of, its kind first; goes by no class, as jest has two of each. */
function partsOf(value: unknown, order: Order): unknown[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const kind = Object.prototype.toString.call(value);
  if (ArrayBuffer.isView(value)) {
    return [kind, Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')];
  }
  const ancestors = ancestorsOf(value);
  if (ancestors > 2) return undefined;
  if (types.isDate(value)) return [kind, value.getTime()];
  if (types.isMap(value)) return [kind, ...[...value].flat()];
  if (types.isSet(value)) return [kind, ...value];
  if (Array.isArray(value)) return [kind, value.length, ...Object.entries(value).flat()];
  if (ancestors === 2) return undefined;
  const entries = Object.entries(value);
  if (order === 'in any order') entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return [kind, ...entries.flat()];
}

function ancestorsOf(value: object): number {
  const parent: unknown = Object.getPrototypeOf(value);
  return parent === null ? 0 : 1 + ancestorsOf(parent as object);
}
