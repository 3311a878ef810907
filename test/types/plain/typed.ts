// Session<T>: keys and dot paths are checked, and so are the values they lead to.
import type { Session } from 'nest-sessions';

interface Shop {
  visits: number;
  name?: string;
  cart: { items: { sku: string; qty: number }[]; note?: string };
}

declare const session: Session<Shop>;

const visits: number | undefined = session.get('visits');
const qty: number | undefined = session.get('cart.items[0].qty');
const note: string | undefined = session.get('cart.note');
session.set('visits', 1);
session.set('name', undefined);
session.set('cart.items[0].qty', 2);
session.replace('cart.note', 'gift');
const keys: ('visits' | 'name' | 'cart')[] = session.keys();
const total: Promise<number> = session.tap((data) => ++data.visits);
const plain: Shop = session.toJSON();
void [visits, qty, note, keys, total, plain];

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
