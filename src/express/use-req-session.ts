import type { INestApplication } from '@nestjs/common';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { isThenable } from '../awaitable.js';
import { SessionError } from '../errors.js';
import type { Exchange } from '../http/exchange.js';
import { type Ask, exchangeOfRequest } from '../http/exchanges.js';
import { exchangesOf } from '../nest/application.js';
import { checkedOptions, functionThat, type OptionRules } from '../rules.js';
import { FastifyReqSession, type Owner, ReqSession } from './req-session.js';
import { ReqSessionStore } from './req-session-store.js';
import { UserOfData, type UserIdOf } from './user-of-data.js';

export interface ReqSessionOptions {
  /**
   * Whom the data name: the session is bound to that user when what this returns changes, and rotated. For Passport,
   * `(data) => data.passport?.user`, if that is what `serializeUser` gives. Numbers become text. Default: nobody.
   */
  userId?: UserIdOf | undefined;
  /**
   * Which requests have `req.session`; for the others nothing is loaded. It gets the platform's request, on Fastify
   * Node's own. Default: all.
   */
  only?: ((request: any) => boolean) | undefined;
  /**
   * Which requests of other origins are let in here, such as an identity provider's `form_post`: no route, and none of
   * its decorators, is known yet. The route's own check still comes. Default: none.
   */
  allowCrossOrigin?: ((request: any) => boolean) | undefined;
}

const RULES: OptionRules<ReqSessionOptions> = {
  userId: functionThat('gives the user whom the data of a session name'),
  only: functionThat('tells which requests have req.session'),
  allowCrossOrigin: functionThat('tells which requests of other origins are let in'),
};

const REMEDY =
  'the option crossOrigin.trustedOrigins; req.session is opened before any route, so that @AllowCrossOrigin() is not ' +
  'known yet: the option allowCrossOrigin: (request) => boolean of useReqSession() is for such paths';

const ASK: Ask = Object.freeze({ touch: 'later', remedy: REMEDY });
const ASK_ALLOWED: Ask = Object.freeze({ touch: 'later', crossOrigin: 'allow' });

/** Applications whose requests have it already. */
const prepared = new WeakSet<object>();

type Next = (error?: unknown) => void;
type Request = IncomingMessage & { session?: ReqSession };

/**
 * From here on, requests have `req.session` as libraries made for express-session expect it, backed by the session that
 * `@Session()` gives: Passport, OAuth strategies, connect-flash, csrf-sync, grant. To be called in `main.ts`, where
 * `app.use(session(…))` stood: before what uses `req.session`.
 *
 * @throws {SessionOptionsError} if `app` or an option is wrong
 * @throws {SessionError} if the application does not import SessionModule, listens already, or this was called for it
 * before
 *
 * @example
 * useReqSession(app, { userId: (data) => data.passport?.user });
 * app.use(passport.session());
 */
export function useReqSession(app: INestApplication, options: ReqSessionOptions = {}): void {
  const given = checkedOptions('useReqSession', options, RULES);
  const exchanges = exchangesOf(app, 'useReqSession(app)');
  const members = membersOf(new ReqSessionStore(exchanges.sessions));
  const adapter = app.getHttpAdapter();
  const platform = adapter.getInstance() as object;
  if (prepared.has(platform)) {
    throw new SessionError(
      'useReqSession() was called for this application already: give all options to one call.',
    );
  }
  if ((app.getHttpServer() as Server).listening) {
    throw new SessionError(
      'useReqSession() was called after app.listen(), when no route would see it: call it before.',
    );
  }
  prepared.add(platform);
  const isFastify = adapter.getType() === 'fastify';
  if (isFastify) prepareFastify(platform as FastifyApplication);
  // All at once: on Express each property of a request is dear.
  else Object.defineProperties((platform as ExpressApplication).request, members);
  const Class = isFastify ? FastifyReqSession : ReqSession;
  const make = (owner: Owner): ReqSession => new Class(owner);

  const put = (request: Request, exchange: Exchange): void => {
    const user = given.userId && new UserOfData(exchange, given.userId);
    if (user) exchange.beforeSave = () => user.settle();
    if (isFastify) Object.defineProperties(request, members);
    const owner: Owner = { exchange, user, request, make };
    request.session = make(owner);
  };

  app.use((request: Request, response: ServerResponse, next: Next): void => {
    let opened;
    try {
      if (given.only && !given.only(request)) return next();
      opened = exchanges.open(request, response, given.allowCrossOrigin?.(request) ? ASK_ALLOWED : ASK);
      if (!isThenable(opened)) put(request, opened);
    } catch (error) {
      return next(error);
    }
    if (!isThenable(opened)) return next();
    opened.then((exchange) => put(request, exchange)).then(() => next(), next);
  });
}

interface ExpressApplication {
  /** What all its requests inherit from. */
  readonly request: object;
}

interface FastifyApplication {
  hasRequestDecorator(name: string): boolean;
  decorateRequest(name: string, accessors: object): void;
}

/** What requests have besides `session`. */
function membersOf(store: ReqSessionStore): PropertyDescriptorMap {
  return {
    sessionID: {
      configurable: true,
      enumerable: true,
      get(this: IncomingMessage) {
        return exchangeOfRequest(this)?.session?.id;
      },
      set(this: object, value: unknown) {
        Object.defineProperty(this, 'sessionID', {
          value,
          writable: true,
          configurable: true,
          enumerable: true,
        });
      },
    },
    sessionStore: { value: store, writable: true, configurable: true, enumerable: false },
  };
}

/** The platform's request shows what Node's own has, which middleware gets. */
function prepareFastify(application: FastifyApplication): void {
  if (application.hasRequestDecorator('session')) return;
  application.decorateRequest('session', {
    getter(this: { raw: Request }) {
      return this.raw.session;
    },
    setter(this: { raw: Request }, session: ReqSession) {
      this.raw.session = session;
    },
  });
}
