import type { Session, SessionStore } from 'nest-sessions';

interface Shop {
  visits: number;
  coupon?: string;
  cart: { items: { sku: string; qty: number }[] };
}

/** What the documents show of a session, in order; `seen` gets what each call gave. */
export async function useSession(session: Session<Shop>, seen: unknown[]): Promise<void> {
  session.set('visits', 1);
  session.set('coupon', 'SPRING');
  session.set('cart.items[0]', { sku: 'tea', qty: 1 }); // objects and lists on the way are made
  seen.push(session.get('cart.items[0].qty')); // 1
  session.get('cart')!.items[0]!.qty = 2; // changed in place: saved too
  seen.push(session.has('coupon')); // true
  seen.push(session.take('coupon')); // 'SPRING', and gone
  seen.push(session.replace('visits', 2)); // 1, what was there before
  seen.push(session.remove('cart.items[7]')); // false: nothing was there
  seen.push(session.keys()); // ['visits', 'cart']
  seen.push(session.toJSON()); // { visits: 2, cart: { items: [{ sku: 'tea', qty: 2 }] } }
  await session.save(); // now; otherwise it is saved before the response goes out
  session.clear(); // all data; the session, its user and its flashes stay
}

/** The same data as an object. */
export function useData(session: Session<Shop>, seen: unknown[]): void {
  const { data } = session;
  data.visits = 1;
  data.cart = { items: [] };
  data.cart.items.push({ sku: 'tea', qty: 1 });
  seen.push('coupon' in data); // false
  delete data.coupon;
  seen.push(Object.keys(data)); // ['visits', 'cart']
  seen.push(JSON.stringify(data)); // '{"visits":1,"cart":{"items":[{"sku":"tea","qty":1}]}}'
  const copy = structuredClone(session.toJSON()); // a copy of your own: what is changed in it is not saved
  copy.cart!.items.length = 0;
  seen.push(copy);
}

/** What the documents show of the store. */
export async function useStore(store: SessionStore<Shop>, seen: unknown[]): Promise<void> {
  const session = await store.create({ userId: 'ada', data: { visits: 1 }, ttl: '30d' }); // stored at once
  const { id, handle } = session;

  const loaded = await store.load(id); // undefined if unknown, malformed, forged or expired
  loaded!.set('visits', 2);
  await store.save(loaded!); // SessionGoneError if it ended meanwhile
  seen.push(await store.tap(id, (data) => (data.visits = data.visits! + 1))); // 3, alone, on fresh data

  seen.push(await store.listByUser('ada')); // [{ handle, userId, createdAt, …, data }]
  seen.push(await store.destroyByUser('ada', { except: handle })); // how many it ended
  seen.push(await store.revoke(handle)); // true; by the public handle, for administrators
  seen.push(await store.destroy(id)); // false: it was gone already
  seen.push(await store.count());
  seen.push(await store.isEmpty());
  seen.push(await store.purgeExpired()); // how many it removed
}
