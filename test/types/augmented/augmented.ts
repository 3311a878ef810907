// An application declares SessionData once, by module augmentation; Session and SessionStore know it from then on.
import { type InitialSessionData, type Session, SessionModule, type SessionStore } from 'nest-sessions';

interface Cart {
  items: { sku: string; qty: number }[];
}

/** What the application gives the option of that name. */
const initial = () => ({ theme: 'light', cart: { items: [] } as Cart });

const describeClient = (request: { ip?: string }) =>
  request.ip ? { ip: request.ip, at: new Date() } : undefined;

declare module 'nest-sessions' {
  interface SessionData {
    visits: number;
    theme: string;
    cart: Cart;
  }

  interface SessionTypes {
    initial: ReturnType<typeof initial>;
    client: ReturnType<typeof describeClient>;
  }
}

declare const session: Session;
declare const store: SessionStore;

SessionModule.forRoot({ describeClient });
// What is known of a client came as JSON.
const clients = async (): Promise<({ ip: string; at: string } | undefined)[]> =>
  (await store.listByUser('ada')).map(({ client }) => client);
void clients;

const visits: number | undefined = session.get('visits');
const qty: number | undefined = session.get('cart.items[0].qty');
session.set('visits', 1);
void [visits, qty];
void store.create({ data: { visits: 1 } });
void store.tap('id', (data) => (data.visits = data.cart.items.length));

// @ts-expect-error -- no such key
session.get('nope');
// @ts-expect-error -- visits is a number
session.set('visits', 'one');
// @ts-expect-error -- visits is a number
void store.create({ data: { visits: 'one' } });

// What `initial` gives is there, and the rest may be absent.
const theme: string = session.data.theme;
session.data.cart.items.push({ sku: 'a', qty: 1 });
const total: Promise<number> = session.tap((data) => data.cart.items.length);
const copy: { visits?: number; theme: string; cart: Cart } = session.toJSON();
void [theme, total, copy];
// @ts-expect-error -- `initial` does not give it
++session.data.visits;
// A session of an application's other types has what `initial` gives, as far as it knows of it.
declare const other: Session<{ theme: string; step: number }>;
const otherTheme: string = other.data.theme;
const step: number | undefined = other.data.step;
void [otherTheme, step];

const given: () => InitialSessionData = initial;
void given;
// @ts-expect-error -- the cart was promised
const incomplete: InitialSessionData = { theme: 'dark' };
// @ts-expect-error -- visits is a number
const wrong: InitialSessionData = { ...initial(), visits: 'one' };
// @ts-expect-error -- no such key
const unknown: InitialSessionData = { ...initial(), visit: 1 };
void [incomplete, wrong, unknown];
