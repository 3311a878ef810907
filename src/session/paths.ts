import { SessionError } from '../errors.js';
import { quote } from './keys.js';

/** A key, then what leads on from its value: keys of objects, and numbers for places in lists. */
export type Segments = readonly (string | number)[];

/** The longest path, in characters: paths are written in code, and one that comes from data must not cost much. */
const MAX_LENGTH = 1_024;
/** How many parsed paths are kept. */
const MAX_PARSED = 1_000;
/** How far behind the end of a list a value may be set: the places between are filled with null. */
const MAX_GAP = 1_000;
/** Would lead from data to what all objects share (S48). */
const POISON = new Set<string | number>(['__proto__', 'constructor', 'prototype']);

export const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** Whether a path is one key, which needs no parsing. */
export function isKey(path: string): boolean {
  return (
    typeof path === 'string' && path.length <= MAX_LENGTH && !/[.[\\]/.test(path) && path !== '__proto__'
  );
}

const parsed = new Map<string, Segments | undefined>();

/**
 * The parts of a dot path; undefined if one of them would reach a prototype (S48). A number is a place in a
 * list, which only brackets name: `'answers.7'` is the key "7" of `answers`.
 *
 * @throws {SessionError} if the text is no path, or longer than 1,024 characters
 */
export function segmentsOf(path: string): Segments | undefined {
  if (typeof path !== 'string') return undefined;
  let segments = parsed.get(path);
  if (segments || parsed.has(path)) return segments;
  if (path.length > MAX_LENGTH) {
    throw new SessionError(
      `Session: a path has at most ${MAX_LENGTH} characters; got ${path.length}: ${quote(path)}.`,
    );
  }
  segments = parse(path);
  if (segments.some((segment) => POISON.has(segment))) segments = undefined;
  if (parsed.size === MAX_PARSED) parsed.clear();
  parsed.set(path, segments);
  return segments;
}

/** The text of a key up to what ends it. A backslash takes the next character as it is, and `[]` stands for itself. */
const KEY = /(?:[^.[\\]|\\[^]|\[\])*\\?/y;
const PLACE = /\[(0|[1-9]\d{0,14})\]/y;

function parse(path: string): Segments {
  const segments: (string | number)[] = [];
  for (let at = 0; ; at++) {
    KEY.lastIndex = at;
    const [key] = KEY.exec(path)!;
    // A path may start with a place.
    if (key !== '' || at > 0 || path[0] !== '[') segments.push(key.replace(/\\([^])/g, '$1'));
    at += key.length;
    for (PLACE.lastIndex = at; ; at = PLACE.lastIndex) {
      const place = PLACE.exec(path);
      if (!place) break;
      segments.push(Number(place[1]));
    }
    if (at === path.length) return segments;
    if (path[at] === '.') continue;
    throw new SessionError(
      `Session: ${quote(path)} is no path: character ${at + 1} should be a dot or a place in a list such as [0]. ` +
        'A bracket or a dot that is part of a key is written with a backslash before it.',
    );
  }
}

export const containerFor = (segment: string | number): object => (typeof segment === 'number' ? [] : {});

/**
 * Sets what a path leads to. What is missing on the way is made first and put in its place last, so that a path that
 * cannot be set leaves nothing behind.
 *
 * @throws {SessionError} for a place far behind the end of a list, or a key of a list that is none
 */
export function setInside(root: object, segments: Segments, value: unknown, path: string): void {
  let parent = root;
  let depth = 0;
  for (; depth < segments.length - 1; depth++) {
    const next = Object.hasOwn(parent, segments[depth]!) && at(parent, segments[depth]!);
    if (!isObject(next)) break;
    parent = next;
  }
  let made = value;
  for (let i = segments.length - 1; i > depth; i--) {
    const container = containerFor(segments[i]!);
    put(container, segments[i]!, made, path);
    made = container;
  }
  put(parent, segments[depth]!, made, path);
}

function put(parent: object, segment: string | number, value: unknown, path: string): void {
  if (Array.isArray(parent) && !isPlaceIn(parent, segment)) {
    throw new SessionError(
      `Session: ${quote(path)} cannot be set: ${quote(String(segment))} is no place in a list of ${parent.length}.`,
    );
  }
  (parent as Record<string | number, unknown>)[segment] = value;
}

const at = (parent: object, segment: string | number): unknown =>
  (parent as Record<string | number, unknown>)[segment];

function isPlaceIn(list: unknown[], segment: string | number): boolean {
  return /^(0|[1-9]\d*)$/.test(String(segment)) && Number(segment) <= list.length + MAX_GAP;
}

/** What a path leads to from an object: own keys only (S48). */
export function getInside(root: unknown, segments: Segments): unknown {
  let value = root;
  for (const segment of segments) {
    if (!isObject(value) || !Object.hasOwn(value, segment)) return undefined;
    value = at(value, segment);
  }
  return value;
}

/** Removes what a path leads to; in a list, what comes after it moves up. */
export function removeInside(root: unknown, segments: Segments): boolean {
  const parent = getInside(root, segments.slice(0, -1));
  const last = segments.at(-1)!;
  if (!isObject(parent) || !Object.hasOwn(parent, last)) return false;
  if (!Array.isArray(parent)) return delete (parent as Record<string | number, unknown>)[last];
  const place = Number(last);
  if (!Number.isInteger(place)) return false;
  parent.splice(place, 1);
  return true;
}
