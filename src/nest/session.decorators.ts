import {
  applyDecorators,
  createParamDecorator,
  type ExecutionContext,
  type PipeTransform,
  type Type,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { after, type Awaitable } from '../awaitable.js';
import { exchangeOfRequest } from '../http/exchanges.js';
import { asking, exchangesOf, openIn, requestIn, whyNoRequest } from './contexts.js';
import { SessionLoader } from './session.loader.js';
import { SessionLockInterceptor } from './session-lock.interceptor.js';
import type { DefaultSessionData } from '../session/session-data.js';
import { SessionError } from '../errors.js';
import { checkedOptions, flag, type OptionRules } from '../rules.js';
import { Session as SessionObject } from '../session/session.js';

type Pipe = Type<PipeTransform> | PipeTransform;

const sessionParameter = createParamDecorator((path: string | undefined, context: ExecutionContext) =>
  path === undefined ? sessionIn(context) : after(sessionIn(context), (session) => session.get(path)),
);

function sessionIn(context: ExecutionContext): Awaitable<SessionObject<any>> {
  const found = requestIn(context);
  if (!found)
    throw new SessionError(`${nameOf(context)}: @Session() needs a request, and ${whyNoRequest(context)}.`);
  // Nest runs no guards for fields, so that the session may not have been asked for yet.
  if (found.operation) {
    const exchanges = exchangesOf(found);
    if (exchanges) return after(openIn(context, found, exchanges), ({ session }) => session!);
    throw new SessionError(
      `${nameOf(context)}: it cannot be told which SessionModule this request belongs to, as there are several, or "req" ` +
        "of the GraphQL context is not the platform's request. Put @UseSession() on the query that leads to this field.",
    );
  }
  const session = found.message ? found.message.session : exchangeOfRequest(found.request)?.session;
  if (session) return session;
  throw new SessionError(
    `${nameOf(context)}: a decorator has replaced this method, so that @Session() could not load the session. ` +
      'Put @UseSession() above that decorator.',
  );
}

const nameOf = (context: ExecutionContext): string =>
  `${context.getClass().name}.${context.getHandler().name}`;

/** Methods that have the loader already: two parameters need it once. */
const loaded = new WeakSet<object>();

/** The session of the current request, as a handler holds it. */
export type Session<T extends object = DefaultSessionData> = SessionObject<T>;

/**
 * Parameter decorator: the session of the request, or with a path one value of it. It attaches
 * `SessionLoader` to the method it sits in, and to no other.
 *
 * @example
 * visit(@Session() session: Session<{ visits: number }>, @Session('visits', ParseIntPipe) visits: number) {}
 */
export function Session(path?: string, ...pipes: Pipe[]): ParameterDecorator;
export function Session(...pipes: Pipe[]): ParameterDecorator;
export function Session(...args: any[]): ParameterDecorator {
  const decorate = sessionParameter(...args);
  return (target, key, index) => {
    const descriptor = key === undefined ? undefined : Object.getOwnPropertyDescriptor(target, key);
    if (key === undefined || !descriptor) {
      throw new SessionError(
        '@Session() belongs to a parameter of a controller method; elsewhere, inject SessionStore.',
      );
    }
    decorate(target, key, index);
    hideFromPipes(target, key, index);
    if (loaded.has(descriptor.value)) return;
    loaded.add(descriptor.value);
    UseGuards(SessionLoader)(target, key, descriptor);
  };
}

/**
 * A global ValidationPipe with `validateCustomDecorators` makes an object of the parameter's class. Compilers write this
 * decorator as that class, as it has the name of the type: SWC and oxc do, tsc does not.
 */
function hideFromPipes(target: object, key: string | symbol, index: number): void {
  const types = Reflect.getOwnMetadata('design:paramtypes', target, key) as unknown[] | undefined;
  if (types?.[index] !== Session && types?.[index] !== SessionObject) return;
  Reflect.defineMetadata('design:paramtypes', types.with(index, Object), target, key);
}

interface UseSessionOptions {
  touch?: boolean | undefined;
}

const USE_SESSION: OptionRules<UseSessionOptions> = { touch: flag };

/**
 * A route, or a controller's routes, that count as use of the session without asking for it.
 *
 * @param options.touch false: they see the session, and what they change is saved, but they are no use of it: its
 *   deadline, its cookie and its flashes stay as they are (S65)
 */
export function UseSession(options: UseSessionOptions = {}): MethodDecorator & ClassDecorator {
  const { touch } = checkedOptions('@UseSession', options, USE_SESSION);
  const load = UseGuards(SessionLoader);
  return touch === undefined ? load : applyDecorators(asking({ touch }), load);
}

/** The requests of one session to this route, or to these routes, run one after another. */
export const SessionLock = (): MethodDecorator & ClassDecorator => UseInterceptors(SessionLockInterceptor);

/** Lets requests from any origin open their session here: webhooks, `form_post` of identity providers. */
export const AllowCrossOrigin = (): MethodDecorator & ClassDecorator => asking({ crossOrigin: 'allow' });
