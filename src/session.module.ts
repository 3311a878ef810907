import {
  type DynamicModule,
  type InjectionToken,
  Module,
  type ModuleMetadata,
  type OptionalFactoryDependency,
  type Provider,
  type Type,
} from '@nestjs/common';
import { RequestSessions } from './http/request-sessions.js';
import { SessionCookie } from './http/session.cookie.js';
import { SessionPurger } from './purge/session.purger.js';
import { SessionOptionsError } from './session.errors.js';
import { resolveOptions, type SessionModuleOptions } from './session.options.js';
import { SESSION_SETTINGS, SessionStore } from './session.store.js';

/** What a class for `useClass` or `useExisting` has. */
export interface SessionOptionsFactory {
  createSessionOptions(): SessionModuleOptions | Promise<SessionModuleOptions>;
}

interface Scope {
  /** Default true; with false, a module that uses sessions imports this one. */
  isGlobal?: boolean;
}

export type SessionModuleRootOptions = SessionModuleOptions & Scope;

/** Exactly one of `useFactory`, `useClass` and `useExisting`. */
export interface SessionModuleAsyncOptions extends Scope, Pick<ModuleMetadata, 'imports'> {
  inject?: (InjectionToken | OptionalFactoryDependency)[];
  useFactory?: (...args: any[]) => SessionModuleOptions | Promise<SessionModuleOptions>;
  useClass?: Type<SessionOptionsFactory>;
  useExisting?: InjectionToken<SessionOptionsFactory>;
}

/** Sessions for a Nest application: import it once, in the root module. */
@Module({})
export class SessionModule {
  static forRoot({ isGlobal, ...options }: SessionModuleRootOptions = {}): DynamicModule {
    return assemble({ isGlobal }, settingsFrom({ useFactory: () => options }));
  }

  static forRootAsync({ isGlobal, imports, ...source }: SessionModuleAsyncOptions): DynamicModule {
    return assemble({ isGlobal, imports }, settingsFrom(source));
  }
}

function assemble(
  { isGlobal = true, imports = [] }: Scope & Pick<ModuleMetadata, 'imports'>,
  settings: Provider[],
): DynamicModule {
  return {
    module: SessionModule,
    global: isGlobal,
    imports,
    providers: [...settings, SessionStore, SessionCookie, RequestSessions, SessionPurger],
    exports: [SessionStore, SessionCookie, RequestSessions],
  };
}

function settingsFrom({
  inject = [],
  useFactory,
  useClass,
  useExisting,
  ...unknown
}: SessionModuleAsyncOptions): Provider[] {
  const problem = [
    ...Object.keys(unknown).map(
      (name) =>
        `${name} is not an option of forRootAsync; it takes imports, inject, useFactory, useClass, useExisting, isGlobal`,
    ),
    ...([useFactory, useClass, useExisting].filter(Boolean).length === 1
      ? []
      : ['forRootAsync takes exactly one of useFactory, useClass and useExisting']),
  ][0];
  if (problem) {
    return [
      {
        provide: SESSION_SETTINGS,
        useFactory: () => {
          throw new SessionOptionsError(`SessionModule: ${problem}`);
        },
      },
    ];
  }
  if (useFactory) {
    return [
      {
        provide: SESSION_SETTINGS,
        inject,
        useFactory: async (...args) => resolveOptions(await useFactory(...args)),
      },
    ];
  }
  const factory = useClass ?? useExisting!;
  return [
    ...(useClass ? [useClass] : []),
    {
      provide: SESSION_SETTINGS,
      inject: [factory],
      useFactory: async (from: SessionOptionsFactory) => resolveOptions(await from.createSessionOptions()),
    },
  ];
}
