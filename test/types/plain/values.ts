// What paths lead to, and what values come back as. `of` shows a type, so that it can be compared exactly.
import type { Session, SessionPath } from 'nest-sessions';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function of<Expected>(): <Given>(
  value: Given,
  ...same: Same<Given, Expected> extends true ? [] : [never]
) => void;

interface Tree {
  leaf?: number;
  branches: Tree[];
}

interface Everything {
  list: { n: number }[];
  pair: [string, { n: number }];
  grid: number[][];
  years: Record<number, string>;
  byName: Record<string, { n: number }>;
  'with.dot': number;
  'with[bracket': { n: number };
  either: { kind: 'a'; a: number } | { kind: 'b'; b: { c: string } } | null;
  tree: Tree;
  anything: any;
  unknown: unknown;

  at: Date;
  tags: Set<string>;
  names: Map<string, number>;
  big: bigint;
  deep?: { at: Date | null; tags: Set<string>[] };
  account: { name: string; born: Date; save(): void };
}

declare const session: Session<Everything>;
declare const place: number;
declare const name: string;

of<{ n: number } | undefined>()(session.get('list[0]'));
of<number | undefined>()(session.get(`list[${place}].n`));
of<string | undefined>()(session.get('pair[0]'));
of<number | undefined>()(session.get('pair[1].n'));
of<number | undefined>()(session.get('grid[0][1]'));
of<string | undefined>()(session.get('years.2024'));
of<number | undefined>()(session.get('byName.ada.n'));
of<number | undefined>()(session.get(`byName.${name}.n`));
of<number | undefined>()(session.get('with\\.dot'));
of<number | undefined>()(session.get('with\\[bracket.n'));
of<undefined>()(session.get('with.dot')); // the key "dot" of "with"
// @ts-expect-error -- the dot has no backslash
session.set('with.dot', 1);
of<'a' | 'b' | undefined>()(session.get('either.kind'));
of<string | undefined>()(session.get('either.b.c'));
of<number | undefined>()(
  session.get('tree.branches[0].branches[1].branches[2].branches[3].branches[4].leaf'),
);
of<any>()(session.get('anything.at[0].all'));
of<unknown>()(session.get('unknown.at.all'));

// JSON gives back a Date as a string, and nothing of what is in a Map or a Set.
of<string | undefined>()(session.get('at'));
of<string | null | undefined>()(session.get('deep.at'));
of<undefined>()(session.get('big'));
of<string | undefined>()(session.data.at);
of<string | undefined>()(session.toJSON().at);
const account: { name: string; born: string } | undefined = session.take('account');
void account;
// @ts-expect-error -- it is an empty object
session.get('tags')?.has('a');
// @ts-expect-error -- it is an empty object
session.data.names?.get('a');
// @ts-expect-error -- a method is not stored
session.get('account')?.save();
// It is written as it is declared.
session.set('at', new Date());
session.set('deep.at', new Date());
session.set('tags', new Set(['a']));
// @ts-expect-error -- it is declared as a Date
session.set('at', '1970-01-01');

// What JSON does not change keeps its name.
of<Tree | undefined>()(session.get('tree'));
of<Tree | undefined>()(session.data.tree);

// @ts-expect-error -- a place in a list has brackets
session.get('list.0');
// @ts-expect-error -- a list of two
session.get('pair[2]');
// @ts-expect-error -- a Date is one value
session.get('at.getTime');
// @ts-expect-error -- a Map is one value
session.get('names.size');
// @ts-expect-error -- a number is one value
session.get('with\\.dot.x');
// @ts-expect-error -- no member of the union has it
session.get('either.x');
// @ts-expect-error -- no path
session.get('list[0');
// @ts-expect-error -- no path
session.get('list[x]');
// @ts-expect-error -- any text may be no key
session.get(name);

// What an error names: the keys, and what could stand where the path leads nowhere.
interface Small {
  visits: number;
  cart: { items: { sku: string; qty: number }[]; note?: string };
}
declare function expected<P extends string>(path: P): SessionPath<Small, P>;
of<'visits' | 'cart'>()(expected('visit'));
of<'visits' | 'cart'>()(expected('visits.x'));
of<'visits' | 'cart'>()(expected('cart['));
of<'visits' | 'cart' | 'cart.items' | 'cart.note'>()(expected('cart.itms'));
of<'visits' | 'cart' | `cart.items[${number}]`>()(expected('cart.items.qty'));
of<'visits' | 'cart' | 'cart.items[0].sku' | 'cart.items[0].qty'>()(expected('cart.items[0].quantity'));
