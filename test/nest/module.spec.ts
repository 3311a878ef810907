import { afterEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  type INestApplication,
  Module,
  Scope,
  UseGuards,
} from '@nestjs/common';
import { APP_GUARD, REQUEST } from '@nestjs/core';
import { Test, type TestingModuleBuilder } from '@nestjs/testing';
import request from 'supertest';
import {
  MemoryStorage,
  Session,
  SessionCookie,
  SessionGuard,
  SessionModule,
  SessionOptionsError,
  SessionStore,
} from '../../src/index.js';
import type { SessionModuleOptions } from '../../src/index.js';
import { type Bag, failureOf } from '../support/session-bench.js';

const running: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const app of running.splice(0)) await app.close();
});

async function start(builder: TestingModuleBuilder): Promise<INestApplication> {
  const module = await builder.compile();
  const app = module.createNestApplication({ logger: false });
  running.push(app);
  return app.init();
}

const compile = async (imports: any[], others: object = {}) => {
  const module = await Test.createTestingModule({ imports, ...others }).compile();
  running.push(module);
  return module;
};

@Controller()
class VisitsController {
  @Get('visit')
  visit(@Session() session: Session<Bag>) {
    session.set('visits', (session.get('visits') ?? 0) + 1);
    return { visits: session.get('visits') };
  }
}

@Injectable()
class Config {
  readonly cookieName = 'configured';
}

@Module({ providers: [Config], exports: [Config] })
class ConfigModule {}

@Injectable()
class SessionConfig {
  createSessionOptions(): SessionModuleOptions {
    return { cookieName: 'from-class' };
  }
}

@Injectable()
class SlowSessionConfig {
  constructor(private readonly config: Config) {}

  async createSessionOptions(): Promise<SessionModuleOptions> {
    return Promise.resolve({ cookieName: this.config.cookieName });
  }
}

@Module({ imports: [ConfigModule], providers: [SlowSessionConfig], exports: [SlowSessionConfig] })
class SessionConfigModule {}

const cookieNameOf = async (imports: any[]) => {
  const module = await compile(imports);
  const session = await module.get(SessionStore).create();
  return module.get(SessionCookie).issue(session).split('=')[0];
};

describe('SessionModule.forRootAsync', () => {
  it.each<[title: string, options: () => Parameters<typeof SessionModule.forRootAsync>[0], name: string]>([
    ['useFactory', () => ({ useFactory: () => ({ cookieName: 'made' }) }), 'made'],
    [
      'useFactory that is async',
      () => ({ useFactory: () => Promise.resolve({ cookieName: 'made' }) }),
      'made',
    ],
    ['useFactory that gives no options', () => ({ useFactory: () => ({}) }), 'sid'],
    [
      'useFactory with imports and inject',
      () => ({
        imports: [ConfigModule],
        inject: [Config],
        useFactory: async (config: Config) => ({ cookieName: config.cookieName }),
      }),
      'configured',
    ],
    [
      'useFactory with an optional dependency that is missing',
      () => ({
        inject: [{ token: 'nothing', optional: true }],
        useFactory: (nothing?: string) => ({ cookieName: nothing ?? 'missing' }),
      }),
      'missing',
    ],
    ['useClass', () => ({ useClass: SessionConfig }), 'from-class'],
    [
      'useClass with imports and an async answer',
      () => ({ imports: [ConfigModule], useClass: SlowSessionConfig }),
      'configured',
    ],
    ['useExisting', () => ({ imports: [SessionConfigModule], useExisting: SlowSessionConfig }), 'configured'],
  ])('%s', async (_title, options, name) => {
    expect(await cookieNameOf([SessionModule.forRootAsync(options())])).toBe(name);
  });

  it('useExisting takes the very one, useClass makes its own', async () => {
    let made = 0;
    @Injectable()
    class Counted {
      readonly n = ++made;
      createSessionOptions = () => ({ cookieName: `counted-${this.n}` });
    }
    @Module({ providers: [Counted], exports: [Counted] })
    class CountedModule {}
    expect(
      await cookieNameOf([
        CountedModule,
        SessionModule.forRootAsync({ imports: [CountedModule], useExisting: Counted }),
      ]),
    ).toBe('counted-1');
    expect(made).toBe(1);
  });

  it.each<[title: string, options: any, message: RegExp]>([
    ['no source', {}, /exactly one of useFactory, useClass and useExisting/],
    [
      'two sources',
      { useFactory: () => ({}), useClass: SessionConfig },
      /exactly one of useFactory, useClass and useExisting/,
    ],
    [
      'three sources',
      { useFactory: () => ({}), useClass: SessionConfig, useExisting: SessionConfig },
      /exactly one/,
    ],
    ['a misspelled source', { usefactory: () => ({}) }, /usefactory.*useFactory/],
    ['an option that belongs into the factory', { ttl: '1h', useFactory: () => ({}) }, /\bttl\b/],
    ['a factory that is no function', { useFactory: { ttl: '1h' } }, /useFactory/],
    ['a class without createSessionOptions', { useClass: Config }, /createSessionOptions/],
    ['a class that is no class', { useClass: 'SessionConfig' }, /useClass/],
  ])('%s stops the boot with a clear error', async (_title, options, message) => {
    const error = await failureOf(() => compile([SessionModule.forRootAsync(options)]));
    expect(error).toBeInstanceOf(SessionOptionsError);
    expect(error.message).toMatch(message);
  });

  it('wrong options stop the boot, from a factory, a promise and a class', async () => {
    @Injectable()
    class Wrong {
      createSessionOptions = () => ({ ttl: -1 });
    }
    for (const options of [
      { useFactory: () => ({ ttl: -1 }) },
      { useFactory: () => Promise.resolve({ ttl: -1 }) },
      { useClass: Wrong },
    ]) {
      const error = await failureOf(() => compile([SessionModule.forRootAsync(options)]));
      expect(error).toBeInstanceOf(SessionOptionsError);
      expect(error.message).toMatch(/ttl.*-1/);
    }
  });

  it("a factory's own failure comes through", async () => {
    const error = new Error('vault is sealed');
    await expect(
      compile([SessionModule.forRootAsync({ useFactory: () => Promise.reject(error) })]),
    ).rejects.toBe(error);
  });

  it('a useExisting that nobody provides names what is missing', async () => {
    await expect(compile([SessionModule.forRootAsync({ useExisting: SessionConfig })])).rejects.toThrow(
      /SessionConfig/,
    );
  });
});

@Injectable()
class VisitsService {
  constructor(readonly store: SessionStore<Bag>) {}
}

const featureWith = (...imports: any[]) => {
  @Module({ imports, controllers: [VisitsController], providers: [VisitsService], exports: [VisitsService] })
  class FeatureModule {}
  return FeatureModule;
};

describe('isGlobal', () => {
  it.each<[title: string, sessions: () => any]>([
    ['forRoot()', () => SessionModule.forRoot()],
    ['forRoot({ isGlobal: true })', () => SessionModule.forRoot({ isGlobal: true })],
    ['forRootAsync()', () => SessionModule.forRootAsync({ useFactory: () => ({}) })],
  ])('%s: a feature module has sessions without importing them', async (_title, sessions) => {
    const app = await start(Test.createTestingModule({ imports: [sessions(), featureWith()] }));
    await request(app.getHttpServer()).get('/visit').expect(200, { visits: 1 });
    expect(app.get(VisitsService, { strict: false }).store).toBe(app.get(SessionStore));
  });

  it.each<[title: string, sessions: () => any]>([
    ['forRoot', () => SessionModule.forRoot({ isGlobal: false })],
    ['forRootAsync', () => SessionModule.forRootAsync({ isGlobal: false, useFactory: () => ({}) })],
  ])('false with %s: a feature module that imports it has it', async (_title, make) => {
    const sessions = make();
    const app = await start(Test.createTestingModule({ imports: [sessions, featureWith(sessions)] }));
    const agent = request.agent(app.getHttpServer());
    await agent.get('/visit').expect(200, { visits: 1 });
    await agent.get('/visit').expect(200, { visits: 2 });
    expect(app.get(VisitsService, { strict: false }).store).toBe(app.get(SessionStore, { strict: false }));
  });

  it('among what a factory gives, it is told where it stands', async () => {
    const useFactory = () => ({ ttl: '1h', isGlobal: false });
    await expect(compile([SessionModule.forRootAsync({ useFactory })])).rejects.toThrow(
      'SessionModule: isGlobal stands beside useFactory, useClass or useExisting',
    );
  });

  it('false: a service of a module that does not import it stops the boot, naming SessionStore', async () => {
    @Module({ providers: [VisitsService] })
    class ForgetfulModule {}
    await expect(compile([SessionModule.forRoot({ isGlobal: false }), ForgetfulModule])).rejects.toThrow(
      /VisitsService.*SessionStore/s,
    );
  });

  it('false: a controller of a module that does not import it stops the boot, and the error leads to sessions', async () => {
    @Module({ controllers: [VisitsController] })
    class ForgetfulModule {}
    await expect(compile([SessionModule.forRoot({ isGlobal: false }), ForgetfulModule])).rejects.toThrow(
      /Session/,
    );
  });

  it('the class alone, without forRoot(), does not boot, and the error names forRoot()', async () => {
    await expect(compile([SessionModule])).rejects.toThrow(
      'SessionModule: import SessionModule.forRoot() or SessionModule.forRootAsync(), not the class alone',
    );
  });

  it('an application without SessionModule that uses @Session() does not boot, and the error leads to sessions', async () => {
    await expect(compile([], { controllers: [VisitsController] })).rejects.toThrow(/Session/);
  });
});

describe('what can be injected', () => {
  it('SessionStore and SessionCookie, in services of any module, one of each', async () => {
    @Injectable()
    class Devices {
      constructor(
        readonly store: SessionStore<Bag>,
        readonly cookie: SessionCookie,
      ) {}
    }
    const module = await compile([SessionModule.forRoot()], { providers: [Devices] });
    const { store, cookie } = module.get(Devices);
    expect(store).toBe(module.get(SessionStore));
    expect(cookie).toBe(module.get(SessionCookie));
  });

  it('the store works in a compiled module that was never initialised', async () => {
    const module = await compile([SessionModule.forRoot()]);
    const store = module.get<SessionStore<Bag>>(SessionStore);
    const { id } = await store.create({ data: { n: 1 } });
    expect(await store.tap(id, (data) => ++data.n)).toBe(2);
    expect((await store.load(id))?.get('n')).toBe(2);
  });

  it('the storage is opened at the start and closed at the end, once each', async () => {
    const calls: string[] = [];
    class Watched extends MemoryStorage {
      override open() {
        calls.push('open');
      }
      override close() {
        calls.push('close');
      }
    }
    const app = await start(
      Test.createTestingModule({ imports: [SessionModule.forRoot({ storage: new Watched() })] }),
    );
    expect(calls).toEqual(['open']);
    await app.close();
    expect(calls).toEqual(['open', 'close']);
  });

  it('a storage of two modules is opened once, and closed when the last one is', async () => {
    const calls: string[] = [];
    class Watched extends MemoryStorage {
      override open() {
        calls.push('open');
      }
      override close() {
        calls.push('close');
      }
    }
    const storage = new Watched();
    const [one, two] = [
      await start(Test.createTestingModule({ imports: [SessionModule.forRoot({ storage })] })),
      await start(Test.createTestingModule({ imports: [SessionModule.forRoot({ storage })] })),
    ];
    expect(calls).toEqual(['open']);
    await one.close();
    expect(calls).toEqual(['open']);
    await two.close();
    expect(calls).toEqual(['open', 'close']);
  });

  it('a storage that does not open stops the start', async () => {
    class Closed extends MemoryStorage {
      override open(): Promise<void> {
        return Promise.reject(new Error('no database'));
      }
    }
    const module = await compile([SessionModule.forRoot({ storage: new Closed() })]);
    await expect(module.init()).rejects.toThrow();
  });
});

describe('SessionGuard', () => {
  @Controller()
  @UseGuards(SessionGuard)
  class ProfileController {
    @Get('me')
    me(@Session() session: Session<Bag>) {
      return { user: session.userId };
    }

    @Get('secret')
    secret() {
      return { open: true };
    }
  }

  it.each<[title: string, builder: () => TestingModuleBuilder]>([
    [
      'on a controller',
      () =>
        Test.createTestingModule({ imports: [SessionModule.forRoot()], controllers: [ProfileController] }),
    ],
    [
      'on a controller of a feature module that imports sessions',
      () => {
        const sessions = SessionModule.forRoot({ isGlobal: false });
        @Module({ imports: [sessions], controllers: [ProfileController] })
        class Feature {}
        return Test.createTestingModule({ imports: [sessions, Feature] });
      },
    ],
    [
      'for the whole application',
      () => {
        @Controller()
        class Open {
          @Get('me')
          me(@Session() session: Session<Bag>) {
            return { user: session.userId };
          }
          @Get('secret')
          secret() {
            return { open: true };
          }
        }
        return Test.createTestingModule({
          imports: [SessionModule.forRoot()],
          controllers: [Open],
          providers: [{ provide: APP_GUARD, useClass: SessionGuard }],
        });
      },
    ],
  ])('%s: 401 without a user, whether the route asks for the session or not', async (_title, builder) => {
    const app = await start(builder());
    const store = app.get<SessionStore<Bag>>(SessionStore, { strict: false });
    const server = app.getHttpServer();
    const anonymous = await store.create({ data: { n: 1 } });
    const ada = await store.create({ userId: 'ada' });
    for (const path of ['/me', '/secret']) {
      await request(server).get(path).expect(401);
      await request(server).get(path).set('Cookie', `sid=${anonymous.id}`).expect(401);
      await request(server).get(path).set('Cookie', `sid=${ada.id}`).expect(200);
    }
    await request(server).get('/me').set('Cookie', `sid=${ada.id}`).expect({ user: 'ada' });
  });
});

describe('two applications in one process', () => {
  it('do not mix: same controller, each its own sessions', async () => {
    const make = () =>
      start(
        Test.createTestingModule({ imports: [SessionModule.forRoot()], controllers: [VisitsController] }),
      );
    const [one, two] = [await make(), await make()];
    const first = await request(one.getHttpServer()).get('/visit').expect({ visits: 1 });
    const cookie = String(first.headers['set-cookie']).split(';')[0]!;
    await request(one.getHttpServer()).get('/visit').set('Cookie', cookie).expect({ visits: 2 });
    await request(two.getHttpServer()).get('/visit').set('Cookie', cookie).expect({ visits: 1 });
    await request(one.getHttpServer()).get('/visit').set('Cookie', cookie).expect({ visits: 3 });
    expect(await one.get(SessionStore).count()).toBe(1);
    expect(await two.get(SessionStore).count()).toBe(1);
    await one.close();
    await request(two.getHttpServer()).get('/visit').expect({ visits: 1 });
  });

  it('have each their own options', async () => {
    const make = (cookieName: string) =>
      start(
        Test.createTestingModule({
          imports: [SessionModule.forRoot({ cookieName })],
          controllers: [VisitsController],
        }),
      );
    for (const name of ['one', 'two']) {
      const app = await make(name);
      const reply = await request(app.getHttpServer()).get('/visit');
      expect(String(reply.headers['set-cookie'])).toMatch(new RegExp(`^${name}=`));
    }
  });
});

describe('request scope', () => {
  @Injectable({ scope: Scope.REQUEST })
  class Visitor {
    constructor(
      @Inject(REQUEST) private readonly origin: any,
      private readonly store: SessionStore<Bag>,
    ) {}

    async add() {
      const session = await this.store.of(this.origin);
      session.set('visits', (session.get('visits') ?? 0) + 1);
      return session.get('visits') as number;
    }
  }

  @Controller({ scope: Scope.REQUEST })
  class ScopedController {
    constructor(private readonly visitor: Visitor) {}

    @Get('scoped')
    async scoped(@Session() session: Session<Bag>) {
      const visits = await this.visitor.add();
      return { visits, same: session.get('visits') === visits };
    }
  }

  it('controllers and providers of a request have the session of that request', async () => {
    const app = await start(
      Test.createTestingModule({
        imports: [SessionModule.forRoot()],
        controllers: [ScopedController],
        providers: [Visitor],
      }),
    );
    const agent = request.agent(app.getHttpServer());
    await agent.get('/scoped').expect(200, { visits: 1, same: true });
    await agent.get('/scoped').expect(200, { visits: 2, same: true });
    await request(app.getHttpServer()).get('/scoped').expect({ visits: 1, same: true });
  });
});
