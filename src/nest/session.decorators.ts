import {
  createParamDecorator,
  type ExecutionContext,
  type PipeTransform,
  type Type,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { sessionOfRequest } from '../http/exchange.js';
import { SessionLoader, SessionLockInterceptor } from './session.loader.js';
import type { DefaultSessionData } from '../session/session-data.js';
import { SessionError } from '../errors.js';
import type { Session as SessionObject } from '../session/session.js';

type Pipe = Type<PipeTransform> | PipeTransform;

const sessionParameter = createParamDecorator((path: string | undefined, context: ExecutionContext) => {
  const session = sessionOfRequest(context.getArgByIndex(0));
  if (!session) {
    throw new SessionError(
      `${context.getClass().name}.${context.getHandler().name}: a decorator has replaced this method, ` +
        'so that @Session() could not load the session. Put @UseSession() above that decorator.',
    );
  }
  return path === undefined ? session : session.get(path);
});

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
    if (loaded.has(descriptor.value)) return;
    loaded.add(descriptor.value);
    UseGuards(SessionLoader)(target, key, descriptor);
  };
}

/** A route, or a controller's routes, that count as use of the session without asking for it. */
export const UseSession = (): MethodDecorator & ClassDecorator => UseGuards(SessionLoader);

/** The requests of one session to this route, or to these routes, run one after another. */
export const SessionLock = (): MethodDecorator & ClassDecorator => UseInterceptors(SessionLockInterceptor);
