// Session<T>: keys and dot paths are checked, and so are the values they lead to.
import type { Session, SessionStore } from 'nest-sessions';

interface Cart {
  items: { sku: string; qty: number }[];
  note?: string;
}

interface Shop {
  visits: number;
  name?: string;
  cart: Cart;
}

declare const session: Session<Shop>;
declare const store: SessionStore<Shop>;

const visits: number | undefined = session.get('visits');
const qty: number | undefined = session.get('cart.items[0].qty');
const note: string | undefined = session.get('cart.note');
const cart: Cart | undefined = session.get('cart');
session.set('visits', 1);
session.set('name', undefined);
session.set('cart.items[0].qty', 2);
session.replace('cart.note', 'gift');
const taken: string | undefined = session.take('name');
const keys: ('visits' | 'name' | 'cart')[] = session.keys();
const known: [boolean, boolean] = [session.has('cart.note'), session.remove('cart.items[0]')];
void [visits, qty, note, cart, taken, keys, known];
void store;

// @ts-expect-error -- no such key
session.get('visit');
// @ts-expect-error -- no such path
session.get('cart.itms');
// @ts-expect-error -- visits is a number
session.set('visits', 'one');
// @ts-expect-error -- qty is a number
session.set('cart.items[0].qty', 'two');
// @ts-expect-error -- may be undefined
const sure: number = session.get('visits');
void sure;

// The data as a whole: any key may be absent.
const data: { visits?: number; name?: string; cart?: Cart } = session.data;
const plain: { visits?: number; name?: string; cart?: Cart } = session.toJSON();
session.data.visits = (session.data.visits ?? 0) + 1;
session.data.cart?.items.push({ sku: 'a', qty: 1 });
delete session.data.cart;
Object.assign(session.data, { visits: 1 });
const { name = 'nobody' } = session.data;
const total: Promise<number> = session.tap((tapped) => {
  tapped.cart ??= { items: [] };
  return (tapped.visits = tapped.cart.items.length);
});
void [data, plain, name, total];

// @ts-expect-error -- no such key
void session.data.visit;
// @ts-expect-error -- visits is a number
session.data.visits = 'one';
// @ts-expect-error -- may be undefined
++session.data.visits;
// @ts-expect-error -- the object stays, its keys are set
session.data = { visits: 1 };
// @ts-expect-error -- may be undefined
void session.tap((tapped) => ++tapped.visits);
// @ts-expect-error -- may be undefined
const complete: Shop = session.toJSON();
void complete;

/** Code for any session that counts visits. */
export function count<T extends { visits: number }>(any: Session<T>, key: keyof T & string): void {
  void [any.get('visits'), any.get(key), any.data, any.toJSON()];
}
