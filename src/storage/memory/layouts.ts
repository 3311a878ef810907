/** Stands after each key in the name of a layout. */
const SEPARATOR = '\u001f';

/** The most layouts there are. An application that invents keys as it goes does without (S55). */
const MAX_LAYOUTS = 4_096;

/** A session with more keys has none. */
const MAX_KEYS = 32;

/** The keys that a number of sessions have in common. */
export interface Layout {
  readonly name: string;
  readonly keys: readonly string[];
  uses: number;
}

/** The layouts in use. Most applications have a few, however many sessions there are. */
export class Layouts {
  private readonly byName = new Map<string, Layout>();
  /** Mostly the next session has the same keys, and comparing them is faster than making a name. */
  private latest: Layout | undefined;

  /** The layout of sessions with these keys, or undefined if they cannot have one. */
  use(keys: readonly string[]): Layout | undefined {
    if (this.latest && isOf(keys, this.latest)) {
      this.latest.uses++;
      return this.latest;
    }
    if (keys.length > MAX_KEYS) return undefined;
    const name = keys.map((key) => key + SEPARATOR).join('');
    const layout = this.byName.get(name) ?? this.add(name, keys);
    // A key that contains the separator makes the name of another layout, which has more keys.
    if (layout?.keys.length !== keys.length) return undefined;
    layout.uses++;
    this.latest = layout;
    return layout;
  }

  leave(layout: Layout): void {
    if (--layout.uses > 0) return;
    this.byName.delete(layout.name);
    if (this.latest === layout) this.latest = undefined;
  }

  private add(name: string, keys: readonly string[]): Layout | undefined {
    if (this.byName.size === MAX_LAYOUTS || keys.some((key) => key.includes(SEPARATOR))) return undefined;
    const layout = { name, keys, uses: 0 };
    this.byName.set(name, layout);
    return layout;
  }
}

function isOf(keys: readonly string[], layout: Layout): boolean {
  if (keys.length !== layout.keys.length) return false;
  for (let i = 0; i < keys.length; i++) if (keys[i] !== layout.keys[i]) return false;
  return true;
}
