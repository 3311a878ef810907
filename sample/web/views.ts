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
    return this.render(session, view, { ...data, notice: session.flashed('notice') });
  }

  /** The page of an error; without a session, one that knows nobody. */
  error(session: Session | undefined, data: object): string {
    return this.render(session, 'error', data);
  }

  private render(session: Session | undefined, view: string, data: object): string {
    return this.eta.render(view, {
      ...data,
      view,
      userName: session?.get('name'),
      basketCount: countItems(session?.get('basket')),
      session,
      node: process.env.NODE_NAME,
      time: (date: Date) => timeElement(date, ''),
      ago: (date: Date) => timeElement(date, ' data-ago'),
      price: formatPrice,
    });
  }
}

/** `2026-03-01 17:05 UTC`, for `views/times.js` to show in the visitor's zone. */
function timeElement(date: Date, attribute: string): string {
  const iso = date.toISOString();
  return `<time datetime="${iso}"${attribute}>${iso.slice(0, 16).replace('T', ' ')} UTC</time>`;
}
