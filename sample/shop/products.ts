export interface Product {
  readonly sku: string;
  readonly name: string;
  /** In cents. */
  readonly price: number;
}

/** What rests in the session: no names, no prices. Those are the shop's to say, not the basket's. */
export interface Basket {
  items: { sku: string; qty: number }[];
}

export const MAX_QTY = 99;

export const PRODUCTS: readonly Product[] = [
  { sku: 'cookie', name: 'Chocolate chip cookie', price: 120 },
  { sku: 'milk', name: 'Glass of milk', price: 95 },
  { sku: 'jar', name: 'Cookie jar', price: 1450 },
];

export function findProduct(sku: string): Product | undefined {
  return PRODUCTS.find((product) => product.sku === sku);
}

export function countItems(basket?: Basket): number {
  return basket?.items.reduce((sum, { qty }) => sum + qty, 0) ?? 0;
}

/** The basket as a bill, in cents. */
export function bill(basket?: Basket) {
  const lines = (basket?.items ?? []).flatMap(({ sku, qty }) => {
    const product = findProduct(sku);
    return product ? [{ ...product, qty, sum: product.price * qty }] : [];
  });
  return { lines, total: lines.reduce((total, { sum }) => total + sum, 0) };
}

export function formatPrice(cents: number): string {
  return `€${(cents / 100).toFixed(2)}`;
}
