import { randomBytes } from 'node:crypto';

/** A session of five keys, as a shop might have it; no two are alike. */
export const shopper = (i) => ({
  user: { id: `u${i}`, name: `Customer ${i}`, email: `customer.${i}@example.com` },
  csrf: randomBytes(18).toString('base64url'),
  locale: i % 2 ? 'en-GB' : 'de-AT',
  basket: [
    { sku: `A-${i % 5003}`, quantity: 1 + (i % 3) },
    { sku: `B-${i % 4001}`, quantity: 1 },
  ],
  visits: i % 100,
});
