import {
  createParamDecorator,
  type ExecutionContext,
  type PipeTransform,
  type Type,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { carriedBy } from './http/request-sessions.js';
import { SessionInterceptor, SessionLoader, SessionLockInterceptor } from './http/session.interceptor.js';
import type { DefaultSessionData } from './session.data.js';
import { SessionError } from './session.errors.js';
import type { Session as SessionObject } from './session.js';

type Pipe = Type<PipeTransform> | PipeTransform;

const sessionParameter = createParamDecorator((path: string | undefined, context: ExecutionContext) => {
  const session = carriedBy(context.switchToHttp().getRequest());
  if (!session) {
    throw new SessionError(
      `${context.getClass().name}.${context.getHandler().name}: a decorator has replaced this method, ` +
        'so that @Session() could not load the session. Put @UseSession() above that decorator.',
    );
  }
  return path === undefined ? session : session.get(path);
});

/** The session of the current request, as a handler holds it. */
export type Session<T extends object = DefaultSessionData> = SessionObject<T>;

/**
 * Parameter decorator: the session of the request, or with a path one value of it. It attaches
 * `SessionInterceptor` to the method it sits in, and to no other.
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
    useSession(target, key, descriptor);
  };
}

/** A route, or a controller's routes, that count as use of the session without asking for it. */
export const UseSession = (): MethodDecorator & ClassDecorator =>
  ((target: object, key?: string | symbol, descriptor?: PropertyDescriptor) =>
    key === undefined || !descriptor
      ? UseInterceptors(SessionInterceptor)(target as Type)
      : useSession(target, key, descriptor)) as MethodDecorator & ClassDecorator;

/** The requests of one session to this route, or to these routes, run one after another. */
export const SessionLock = (): MethodDecorator & ClassDecorator => UseInterceptors(SessionLockInterceptor);

/** Methods that are taken care of: two parameters need the interceptor once. */
const attached = new WeakSet<object>();

function useSession(target: object, key: string | symbol, descriptor: PropertyDescriptor): void {
  const method = descriptor.value as object;
  if (attached.has(method)) return;
  attached.add(method);
  UseInterceptors(SessionInterceptor)(target, key, descriptor);
  // Whether the method sends events is known when all its decorators have run, and before any app starts.
  queueMicrotask(() => {
    if (Reflect.hasMetadata('__sse__', method)) useGuardInstead(target, key, descriptor);
  });
}

/**
 * With any interceptor, Nest sends the headers of an SSE stream before the handler has returned, so that no
 * cookie could be set and no error become a status any more. A guard runs before it; the net does the rest.
 */
function useGuardInstead(target: object, key: string | symbol, descriptor: PropertyDescriptor): void {
  const interceptors = Reflect.getMetadata('__interceptors__', descriptor.value) as unknown[];
  const others = interceptors.filter((interceptor) => interceptor !== SessionInterceptor);
  Reflect.defineMetadata('__interceptors__', others, descriptor.value);
  UseGuards(SessionLoader)(target, key, descriptor);
}
