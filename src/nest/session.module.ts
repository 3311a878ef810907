import {
  type DynamicModule,
  Inject,
  type InjectionToken,
  Logger,
  Module,
  type ModuleMetadata,
  type OnModuleInit,
  Optional,
  type OptionalFactoryDependency,
  type Provider,
  type Type,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { SessionOptionsError } from '../errors.js';
import { SessionCookie } from '../http/cookie.js';
import { Exchanges } from '../http/exchanges.js';
import { prepareResponses } from '../http/response-patch.js';
import { SessionTransport } from '../http/transport.js';
import { isOptions } from '../rules.js';
import { serve } from './contexts.js';
import { SessionEvents } from '../session/events.js';
import { Sessions } from '../session/sessions.js';
import { type ModuleSettings, resolveOptions, type SessionModuleOptions } from './session.options.js';
import { SessionPurger } from './session.purger.js';
import { SessionStore } from './session.store.js';
import { SESSION_OPTIONS } from './tokens.js';

/** What a class for `useClass` or `useExisting` has. */
export interface SessionOptionsFactory {
  createSessionOptions(): SessionModuleOptions | Promise<SessionModuleOptions>;
}

interface Scope {
  /** Default true; with false, a module that uses sessions imports this one. */
  isGlobal?: boolean | undefined;
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
export class SessionModule implements OnModuleInit {
  constructor(
    @Inject(HttpAdapterHost) private readonly adapterHost: HttpAdapterHost,
    @Optional() @Inject(Exchanges) private readonly exchanges: Exchanges,
  ) {
    if (!exchanges)
      refuse('import SessionModule.forRoot() or SessionModule.forRootAsync(), not the class alone');
  }

  static forRoot(options: SessionModuleRootOptions = {}): DynamicModule {
    // Options that are no object stop the boot like any other wrong ones, and not the import of a file.
    if (!isOptions(options)) {
      return assemble({}, settingsFrom({ useFactory: () => options }));
    }
    const { isGlobal, ...others } = options;
    return assemble({ isGlobal }, settingsFrom({ useFactory: () => others }));
  }

  static forRootAsync(options: SessionModuleAsyncOptions): DynamicModule {
    const { isGlobal, imports, ...source } = options ?? {};
    return assemble({ isGlobal, imports }, settingsFrom(source));
  }

  /** Before the first request, so that what other middleware wraps around a response is wrapped around the hooks. */
  onModuleInit(): void {
    const { httpAdapter } = this.adapterHost;
    const application: object | undefined = httpAdapter?.getInstance?.();
    prepareResponses(application);
    serve(this.exchanges, application, httpAdapter?.getHttpServer?.() as object | undefined);
  }
}

function assemble(
  { isGlobal = true, imports = [] }: Scope & Pick<ModuleMetadata, 'imports'>,
  settings: Provider[],
): DynamicModule {
  const wrong = typeof isGlobal !== 'boolean';
  const checked = wrong
    ? settingsOf(() => refuse(`isGlobal must be true or false; got ${String(isGlobal)}`))
    : settings;
  return {
    module: SessionModule,
    global: isGlobal === true,
    imports,
    providers: [...checked, ...PROVIDERS],
    exports: [SessionStore, SessionCookie, Exchanges],
  };
}

const PROVIDERS: Provider[] = [
  {
    provide: SessionCookie,
    inject: [SESSION_OPTIONS],
    useFactory: (options: ModuleSettings) => new SessionCookie(options),
  },
  {
    provide: Exchanges,
    inject: [SESSION_OPTIONS, SessionCookie],
    useFactory: (options: ModuleSettings, cookie: SessionCookie) => {
      const log = new Logger('SessionModule');
      for (const warning of options.warnings) log.warn(warning);
      const events = new SessionEvents(log);
      const sessions = new Sessions(options.storage, options, events);
      const transport = new SessionTransport(cookie, options.transport, (text) => events.warnOnce(text));
      return new Exchanges(sessions, transport, options);
    },
  },
  {
    provide: SessionStore,
    inject: [Exchanges, SESSION_OPTIONS],
    useFactory: (exchanges: Exchanges, { purge }: ModuleSettings) => new SessionStore(exchanges, purge.batch),
  },
  SessionPurger,
];

function settingsFrom(source: SessionModuleAsyncOptions): Provider[] {
  const { inject = [], useFactory, useClass, useExisting } = source;
  const problem = problemOf(source);
  if (problem) {
    return settingsOf(() => refuse(problem));
  }
  if (useFactory) {
    const resolve = async (...args: unknown[]) => resolved(await useFactory(...args));
    return [{ provide: SESSION_OPTIONS, inject, useFactory: resolve }];
  }
  const factory = (useClass ?? useExisting)!;
  const resolve = async (from: SessionOptionsFactory) => {
    if (typeof from?.createSessionOptions === 'function') return resolved(await from.createSessionOptions());
    return refuse(`${useClass ? 'useClass' : 'useExisting'} must have createSessionOptions()`);
  };
  return [
    ...(useClass ? [useClass] : []),
    { provide: SESSION_OPTIONS, inject: [factory], useFactory: resolve },
  ];
}

function resolved(options: SessionModuleRootOptions): ModuleSettings {
  if (options?.isGlobal !== undefined)
    refuse(
      'isGlobal stands beside useFactory, useClass or useExisting, not among the options that they give',
    );
  return resolveOptions(options);
}

const SOURCES = ['useFactory', 'useClass', 'useExisting'] as const;

function problemOf(source: SessionModuleAsyncOptions): string | undefined {
  const unknown = Object.keys(source).find((name) => name !== 'inject' && !SOURCES.includes(name as never));
  if (unknown)
    return `${unknown} is not an option of forRootAsync; it takes imports, inject, isGlobal, ${SOURCES.join(', ')}`;
  const given = SOURCES.filter((name) => source[name] !== undefined);
  if (given.length !== 1)
    return `forRootAsync takes exactly one of useFactory, useClass and useExisting; got ${given.length}`;
  if (source.useFactory !== undefined && typeof source.useFactory !== 'function')
    return 'useFactory must be a function';
  if (source.useClass !== undefined && typeof source.useClass !== 'function')
    return 'useClass must be a class';
  return undefined;
}

const settingsOf = (useFactory: () => unknown): Provider[] => [{ provide: SESSION_OPTIONS, useFactory }];

function refuse(problem: string): never {
  throw new SessionOptionsError(`SessionModule: ${problem}`);
}
