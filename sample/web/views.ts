import { resolve } from 'node:path';

import { Injectable } from '@nestjs/common';
import { Eta } from 'eta';
import type { Session } from 'nest-sessions';

import { countItems, formatPrice } from '../shop/products.js';

/** The templates' folder. npm runs scripts in the project's folder, so do the tests. */
export const VIEWS = resolve('sample/views');

/** Templates in, HTML out: every value that is written with `<%= %>` is escaped. */
@Injectable()
export class Views {
  private readonly eta = new Eta({ views: VIEWS, cache: true });

  /** A whole page, with what the layout shows of the visitor's session. */
  page(session: Session, view: string, data: object = {}): string {
    return this.render(view, {
      ...data,
      view,
      notice: session.flashed('notice'),
      userName: session.get('name'),
      basketCount: countItems(session.get('basket')),
      session,
      node: process.env.NODE_NAME,
      time: formatTime,
      price: formatPrice,
    });
  }

  render(view: string, data: object): string {
    return this.eta.render(view, data);
  }
}

/** `2026-03-01 17:05 UTC` */
function formatTime(date: Date): string {
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
