import { Controller, NotFoundException, Post, Redirect } from '@nestjs/common';
import { Session } from 'nest-sessions';

import { Field } from '../web/field.decorator.js';
import { Page } from '../web/page.decorator.js';
import { Views } from '../web/views.js';
import { bill, findProduct, formatPrice, MAX_QTY, PRODUCTS } from './products.js';

@Controller('shop')
export class ShopController {
  constructor(private readonly views: Views) {}

  @Page()
  shop(@Session() session: Session) {
    return this.views.page(session, 'shop', {
      products: PRODUCTS,
      maxQty: MAX_QTY,
      ...bill(session.get('basket')),
    });
  }

  /**
   * Two clicks at once, in two tabs or on two nodes, put two items into the basket: a tap works on
   * fresh data, alone. With `get` and `set`, both would read the same number and one click be lost.
   */
  @Post('add')
  @Redirect('/shop', 303)
  async add(@Session() session: Session, @Field('sku') sku: string) {
    const product = findProduct(sku);
    if (!product) throw new NotFoundException('The shop has no such thing.');

    await session.tap((data) => {
      const { items } = (data.basket ??= { items: [] });
      const line = items.find((item) => item.sku === sku);
      if (line) line.qty = Math.min(line.qty + 1, MAX_QTY);
      else items.push({ sku, qty: 1 });
    });
    session.flash('notice', `${product.name}: in your basket.`);
  }

  /** A path leads straight to the number. */
  @Post('quantity')
  @Redirect('/shop', 303)
  quantity(@Session() session: Session, @Field('sku') sku: string, @Field('qty') field: string) {
    const index = session.get('basket')?.items.findIndex((item) => item.sku === sku) ?? -1;
    const product = findProduct(sku);
    if (index < 0 || !product) return;
    const qty = Number(field);
    if (Number.isInteger(qty) && qty >= 1 && qty <= MAX_QTY) {
      session.set(`basket.items[${index}].qty`, qty);
      session.flash('notice', `${product.name}: ${qty} in your basket.`);
    } else {
      session.flash('notice', `${product.name}: choose a quantity from 1 to ${MAX_QTY}.`);
    }
  }

  @Post('remove')
  @Redirect('/shop', 303)
  remove(@Session() session: Session, @Field('sku') sku: string) {
    const items = session.get('basket')?.items ?? [];
    const rest = items.filter((item) => item.sku !== sku);
    if (rest.length === items.length) return;
    session.set('basket.items', rest);
    session.flash('notice', `${findProduct(sku)?.name ?? sku}: no longer in your basket.`);
  }

  /** Read and gone: what was ordered is no longer in the basket. */
  @Post('order')
  @Redirect('/shop', 303)
  order(@Session() session: Session) {
    const { lines, total } = bill(session.take('basket'));
    if (lines.length === 0) return;
    session.flash('notice', `Thank you! ${formatPrice(total)} worth of crumbs are on their way.`);
  }
}
