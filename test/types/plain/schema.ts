// InferSessionData: the types of a session come from its schemas, of whichever library.
import type { InferSessionData, Session, SessionModuleOptions, StandardSchema } from 'nest-sessions';
import * as v from 'valibot';
import { z } from 'zod';

const schema = {
  cart: z.array(z.object({ sku: z.string(), qty: z.number() })).default([]),
  theme: v.picklist(['light', 'dark']),
  step: {} as StandardSchema<number>,
};
const options: SessionModuleOptions = { schema };
void options;

type Data = InferSessionData<typeof schema>;
const data: Data = { cart: [{ sku: 'tea', qty: 1 }], theme: 'dark', step: 1 };
void data;

declare const session: Session<Data>;
const cart: { sku: string; qty: number }[] | undefined = session.get('cart');
const qty: number | undefined = session.get('cart[0].qty');
const theme: 'light' | 'dark' | undefined = session.data.theme;
const step: number | undefined = session.get('step');
session.set('theme', 'light');
session.data.cart?.push({ sku: 'tea', qty: 1 });
void [cart, qty, theme, step];

// @ts-expect-error -- no such theme
session.set('theme', 'blue');
// @ts-expect-error -- no such key
session.get('carts');
// @ts-expect-error -- may be undefined: what is stored may not fit
const sure: number = session.get('step');
void sure;
// @ts-expect-error -- no schema
const wrong: SessionModuleOptions = { schema: { n: Number } };
void wrong;
