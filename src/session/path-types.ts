/*
 * What a dot path means to the compiler, by the rules of `paths.ts`. A path is walked part by part and only where it is
 * written, so that big data costs no more than small, and an error can say what could stand there.
 */

/** A place in a list: `[0]`. The text of a key stands for itself. */
interface Place<N extends string> {
  readonly place: N;
}

/** A part of a path, and the path up to it. */
type Part = readonly [part: string | Place<string>, path: string];

/** The parts of a path; `never` for a text that is none. */
type Parts<
  Rest extends string,
  Path extends string = '',
  Key extends string = '',
  Done extends readonly Part[] = [],
> = Rest extends `${infer C}${infer Next}`
  ? C extends '.'
    ? Parts<Next, `${Path}.`, '', [...Done, [Key, Path]]>
    : C extends '['
      ? Places<Rest, Path, Path extends '' ? Done : [...Done, [Key, Path]]>
      : C extends '\\'
        ? Next extends `${infer Escaped}${infer After}`
          ? Parts<After, `${Path}\\${Escaped}`, `${Key}${Escaped}`, Done>
          : never
        : Parts<Next, `${Path}${C}`, `${Key}${C}`, Done>
  : [...Done, [Key, Path]];

/** The same behind a key, where places may stand. */
type Places<Rest extends string, Path extends string, Done extends readonly Part[]> = Rest extends ''
  ? Done
  : Rest extends `.${infer Next}`
    ? Parts<Next, `${Path}.`, '', Done>
    : Rest extends `[${infer N extends number}]${infer Next}`
      ? Places<Next, `${Path}[${N}]`, [...Done, [Place<`${N}`>, `${Path}[${N}]`]]>
      : never;

/** What a path leads to; `never` if it leads nowhere. */
export type ValueAt<T, P extends string> =
  P extends Exclude<keyof T, WithPunctuation> ? T[P] : Walk<T, Parts<P>>;

/** Keys that are written with backslashes in a path. */
type WithPunctuation = `${string}${'.' | '[' | '\\'}${string}`;

type Walk<V, P> = P extends readonly [infer First extends Part, ...infer Rest]
  ? Walk<Step<V, First[0]>, Rest>
  : P extends readonly []
    ? V
    : never;

/** One step on the way, of each member of a union; `never` where there is nothing to step to. */
type Step<V, S extends Part[0]> = unknown extends V
  ? V
  : V extends Leaf | null | undefined
    ? never
    : V extends readonly unknown[]
      ? S extends Place<infer N>
        ? N extends keyof V
          ? V[N]
          : number extends V['length']
            ? V[number]
            : never
        : never
      : S extends keyof V
        ? V[S]
        : S extends `${infer N extends number}`
          ? N extends keyof V
            ? V[N]
            : never
          : never;

/** What is stored as one value: no path leads into it. */
type Leaf =
  | string
  | number
  | boolean
  | bigint
  | symbol
  | Date
  | RegExp
  | ReadonlyMap<any, any>
  | ReadonlySet<any>
  | ArrayBufferView
  | ((...args: any[]) => unknown);

/** The path, if it leads somewhere; else what could stand in its place. */
export type CheckedPath<T, P extends string> = [ValueAt<T, P>] extends [never] ? Hint<T, Parts<P>> : P;

/** The paths that lead on from the last part of a path that leads somewhere. */
type Hint<V, P, Path extends string = ''> = P extends readonly [infer First extends Part, ...infer Rest]
  ? [Step<V, First[0]>] extends [never]
    ? Onward<V, Path>
    : Hint<Step<V, First[0]>, Rest, First[1]>
  : never;

type Onward<V, Path extends string> = V extends Leaf
  ? Path
  : V extends readonly unknown[]
    ? `${Path}[${number extends V['length'] ? number : Exclude<keyof V, keyof unknown[]> & string}]`
    : Path extends ''
      ? keyof V & string
      : `${Path}.${keyof V & string}`;
