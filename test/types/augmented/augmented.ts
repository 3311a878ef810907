// An application declares SessionData once, by module augmentation; Session and SessionStore know it from then on.
import type { Session, SessionStore } from 'nest-sessions';

declare module 'nest-sessions' {
  interface SessionData {
    visits: number;
    cart: { items: { sku: string; qty: number }[] };
  }
}

declare const session: Session;
declare const store: SessionStore;

const visits: number | undefined = session.get('visits');
const qty: number | undefined = session.get('cart.items[0].qty');
session.set('visits', 1);
void [visits, qty];
void store.create({ data: { visits: 1 } });
void store.tap('id', (data) => ++data.visits);

// @ts-expect-error -- no such key
session.get('nope');
// @ts-expect-error -- visits is a number
session.set('visits', 'one');
// @ts-expect-error -- visits is a number
void store.create({ data: { visits: 'one' } });
