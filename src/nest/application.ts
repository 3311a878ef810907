import type { INestApplication } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { SessionOptionsError } from '../errors.js';
import { Exchanges } from '../http/exchanges.js';
import { demandModule } from './session.loader.js';

/**
 * What opens the sessions of an application, for what is called with it in `main.ts`. Not by `app.get()`: what that does
 * not find ends the process, with an error that names nothing an application knows.
 *
 * @throws {SessionOptionsError} where `app` is no application of Nest's
 * @throws {SessionError} if it does not import SessionModule
 */
export function exchangesOf(app: INestApplication, caller: string): Exchanges {
  if (typeof app?.getHttpAdapter !== 'function') {
    throw new SessionOptionsError(`${caller} takes the application, as NestFactory.create() gives it`);
  }
  for (const { providers } of app.get(ModulesContainer).values()) {
    const found = providers.get(Exchanges)?.instance as Exchanges | undefined;
    if (found) return found;
  }
  return demandModule<Exchanges>(undefined);
}
