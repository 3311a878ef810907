import { parsePath } from 'dot-prop';
import { SessionError } from '../errors.js';

/** A key, then what leads on from its value: keys of objects, and numbers for places in lists. */
export type Segments = readonly (string | number)[];

/** How far behind the end of a list a value may be set: the places between are filled with null. */
const MAX_GAP = 1_000;

export const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
export const quote = (text: string): string =>
  JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);

/** Whether a path is one key, which needs no parsing. */
export function isKey(path: string): boolean {
  return typeof path === 'string' && !/[.[\\]/.test(path) && path !== '__proto__';
}

const parsed = new Map<string, Segments | undefined>();

/**
 * The parts of a dot path; undefined if one of them would reach a prototype (S48). A number is a place in a
 * list, which only brackets name: `'answers.7'` is the key "7" of `answers`.
 */
export function segmentsOf(path: string): Segments | undefined {
  if (typeof path !== 'string') return undefined;
  if (parsed.has(path)) return parsed.get(path);
  let segments: Segments | undefined;
  try {
    segments = parsePath(path).map((part) => (path.includes(`[${part}]`) ? Number(part) : String(part)));
  } catch (cause) {
    throw new SessionError(`Session: ${quote(path)} is no path: ${(cause as Error).message}`, { cause });
  }
  if (segments.length === 0 || segments[0] === '__proto__') segments = undefined;
  // Paths are written in code, so there are few; where they come from data, the cache must not grow.
  if (parsed.size < 1_000) parsed.set(path, segments);
  return segments;
}

export const containerFor = (segment: string | number): object => (typeof segment === 'number' ? [] : {});

/** Sets what a path leads to, and makes what is missing on the way. */
export function setInside(root: object, segments: Segments, value: unknown, path: string): void {
  let parent = root as Record<string | number, unknown>;
  for (const [i, segment] of segments.entries()) {
    if (Array.isArray(parent) && !isPlaceIn(parent, segment)) {
      throw new SessionError(
        `Session: ${quote(path)} cannot be set: ${segment} is no place in a list of ${parent.length}.`,
      );
    }
    if (i === segments.length - 1) {
      parent[segment] = value;
      return;
    }
    const next = Object.hasOwn(parent, segment) ? parent[segment] : undefined;
    parent = (isObject(next) ? next : (parent[segment] = containerFor(segments[i + 1]!))) as typeof parent;
  }
}

function isPlaceIn(list: unknown[], segment: string | number): boolean {
  return /^(0|[1-9]\d*)$/.test(String(segment)) && Number(segment) <= list.length + MAX_GAP;
}

/** Removes what a path leads to; in a list, what comes after it moves up. */
export function removeInside(root: object, segments: Segments): boolean {
  let parent: unknown = root;
  for (const segment of segments.slice(0, -1)) {
    if (!isObject(parent) || !Object.hasOwn(parent, segment)) return false;
    parent = (parent as Record<string | number, unknown>)[segment];
  }
  const last = segments.at(-1)!;
  if (!isObject(parent) || !Object.hasOwn(parent, last)) return false;
  if (!Array.isArray(parent)) return delete (parent as Record<string | number, unknown>)[last];
  const place = Number(last);
  if (!Number.isInteger(place)) return false;
  parent.splice(place, 1);
  return true;
}
