import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type ArgumentsHost,
  type CallHandler,
  Catch,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Get,
  Injectable,
  type INestApplication,
  type MiddlewareConsumer,
  Module,
  type NestInterceptor,
  Session as NestSession,
  UseInterceptors,
} from '@nestjs/common';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { Test } from '@nestjs/testing';
import request from 'supertest';
import {
  Session,
  SessionError,
  SessionOptionsError,
  SessionLock,
  SessionLockError,
  SessionModule,
  SessionStore,
  UseSession,
} from '../../src/index.js';
import { settle } from '../support/gate.js';
import { type Bag, failureOf } from '../support/session-bench.js';

const running: INestApplication[] = [];

afterEach(async () => {
  for (const app of running.splice(0)) await app.close();
});

/** What handlers failed with. */
const failures: Error[] = [];

@Catch()
class Keeper implements ExceptionFilter {
  catch(error: Error, host: ArgumentsHost) {
    failures.push(error);
    host.switchToHttp().getResponse().status(500).json({});
  }
}

async function start(...controllers: any[]): Promise<INestApplication> {
  failures.length = 0;
  const module = await Test.createTestingModule({
    imports: [SessionModule.forRoot({ touchAfter: 0 })],
    controllers,
  }).compile();
  const app = module.createNestApplication({ logger: false });
  running.push(app);
  app.useGlobalFilters(new Keeper());
  return app.init();
}

const add = (session: Session<Bag>) => {
  session.set('visits', (session.get('visits') ?? 0) + 1);
  return { visits: session.get('visits') as number };
};

/** A decorator of the application's that puts another function in the method's place. */
function Timed(): MethodDecorator {
  return (_target, _key, descriptor: PropertyDescriptor) => {
    const original = descriptor.value;
    descriptor.value = function timed(this: unknown, ...args: unknown[]) {
      return original.apply(this, args);
    };
  };
}

/** The same, done well: what was known of the method is known of its wrapper. */
function Polite(): MethodDecorator {
  return (_target, _key, descriptor: PropertyDescriptor) => {
    const original = descriptor.value;
    descriptor.value = function polite(this: unknown, ...args: unknown[]) {
      return original.apply(this, args);
    };
    for (const key of Reflect.getMetadataKeys(original)) {
      Reflect.defineMetadata(key, Reflect.getMetadata(key, original), descriptor.value);
    }
  };
}

describe('@Session() where it does not belong', () => {
  it('on a parameter of a constructor is a clear error when the class is made', () => {
    expect(() => {
      @Controller()
      class Wrong {
        constructor(@(Session() as any) readonly session: unknown) {}
      }
      return Wrong;
    }).toThrow(SessionError);
  });

  it.each(['rpc', 'ws', 'graphql'])('store.of in a context of kind %s is a clear error', async (kind) => {
    const app = await start();
    class Handler {
      handle() {}
    }
    const context = new ExecutionContextHost(
      [{ data: 1 }, { pattern: 'x' }],
      Handler as any,
      Handler.prototype.handle,
    );
    context.setType(kind);
    const error = await failureOf(() => app.get(SessionStore).of(context));
    expect(error).toBeInstanceOf(SessionError);
    expect(error.message.length).toBeGreaterThan(20);
  });

  it.each([undefined, null, {}, 'request', 7, () => 1, { headers: {} }])(
    'store.of %p, which is no request, is a clear error',
    async (target) => {
      const app = await start();
      const error = await failureOf(() => app.get(SessionStore).of(target as never));
      expect(error).toBeInstanceOf(SessionError);
      expect(error.message).toMatch(/of\(|request/);
    },
  );

  it.each([
    [{ tuoch: false }, /tuoch is not an option \(did you mean touch\?\)/],
    [{ touch: 'no' }, /touch must be true or false; got "no"/],
    [{ touch: false, crossOrigin: 'refuse' }, /crossOrigin must be "allow"; got "refuse"/],
  ])('store.of with the options %j is a clear error, and asks for nothing', async (options, message) => {
    const app = await start();
    const context = new ExecutionContextHost([{ headers: {} }, {}], undefined as never, undefined as never);
    context.setType('http');
    const error = await failureOf(() => app.get(SessionStore).of(context, options as never));
    expect(error).toBeInstanceOf(SessionOptionsError);
    expect(error.message).toMatch(message);
  });
});

describe('a decorator that replaces the method', () => {
  @Controller()
  class Replaced {
    @Get('above')
    @Timed()
    above(@Session() session: Session<Bag>) {
      return add(session);
    }

    @Get('fixed')
    @UseSession()
    @Timed()
    fixed(@Session() session: Session<Bag>) {
      return add(session);
    }

    @Get('polite')
    @Polite()
    polite(@Session() session: Session<Bag>) {
      return add(session);
    }
  }

  it('the error names the method and says what to do', async () => {
    const app = await start(Replaced);
    await request(app.getHttpServer()).get('/above').expect(500);
    expect(failures).toHaveLength(1);
    expect(failures[0]).toBeInstanceOf(SessionError);
    expect(failures[0]!.message).toContain('Replaced.');
    expect(failures[0]!.message).toContain('a decorator has replaced this method');
    expect(failures[0]!.message).toContain('Put @UseSession() above that decorator');
    expect(await app.get(SessionStore).isEmpty()).toBe(true);
  });

  it.each(['fixed', 'polite'])(
    '%s: with @UseSession() above it, or its metadata kept, all is well',
    async (path) => {
      const app = await start(Replaced);
      const agent = request.agent(app.getHttpServer());
      await agent.get(`/${path}`).expect(200, { visits: 1 });
      await agent.get(`/${path}`).expect(200, { visits: 2 });
      expect(failures).toEqual([]);
    },
  );
});

describe('class inheritance', () => {
  abstract class Base {
    @Get('inherited')
    inherited(@Session() session: Session<Bag>) {
      return add(session);
    }

    @Get('overridden')
    overridden(@Session() session: Session<Bag>) {
      return { ...add(session), by: 'base' };
    }

    @Get('plain')
    plain() {
      return 'base';
    }
  }

  @Controller('one')
  class One extends Base {
    @Get('overridden')
    override overridden(@Session() session: Session<Bag>) {
      return { ...add(session), by: 'one' };
    }
  }

  @Controller('two')
  class Two extends Base {
    @Get('plain')
    override plain() {
      return 'two';
    }
  }

  it('inherited handlers have the session, overridden ones once, others are unaffected', async () => {
    const app = await start(One, Two);
    const agent = request.agent(app.getHttpServer());
    await agent.get('/one/inherited').expect(200, { visits: 1 });
    await agent.get('/two/inherited').expect(200, { visits: 2 });
    await agent.get('/one/overridden').expect(200, { visits: 3, by: 'one' });
    await agent.get('/two/overridden').expect(200, { visits: 4, by: 'base' });
    const reply = await agent.get('/two/plain').expect(200, 'two');
    expect(reply.headers['set-cookie']).toBeUndefined();
    expect(reply.headers['vary'] ?? '').not.toMatch(/cookie/i);
    expect(await app.get(SessionStore).count()).toBe(1);
  });
});

describe('@UseSession()', () => {
  it('refuses an option that it does not know, or that is wrong', () => {
    expect(() => UseSession({ tuch: false } as object)).toThrow('tuch');
    expect(() => UseSession({ touch: 'no' as never })).toThrow('@UseSession: touch must be');
  });

  @Controller('method')
  class OnMethod {
    @Get('renewing')
    @UseSession()
    renewing() {
      return 'ok';
    }

    @Get('other')
    other() {
      return 'ok';
    }
  }

  @Controller('class')
  @UseSession()
  class OnClass {
    @Get('renewing')
    renewing() {
      return 'ok';
    }

    @Get('asking')
    asking(@Session() session: Session<Bag>) {
      return add(session);
    }
  }

  it.each([
    ['on a method', '/method/renewing', true],
    ['beside it', '/method/other', false],
    ['on a class', '/class/renewing', true],
    ['on a class, with a route that asks as well', '/class/asking', true],
  ])('%s: whether %s is a use of the session: %p', async (_title, path, renews) => {
    const app = await start(OnMethod, OnClass);
    const { id } = await app.get(SessionStore).create();
    const reply = await request(app.getHttpServer()).get(path).set('Cookie', `sid=${id}`).expect(200);
    const cookies = [reply.headers['set-cookie'] ?? []].flat();
    expect(cookies).toHaveLength(renews ? 1 : 0);
    if (renews) expect(cookies[0]).toContain(`sid=${id};`);
  });

  it('gives a visitor without a session nothing (S52)', async () => {
    const app = await start(OnClass);
    const reply = await request(app.getHttpServer()).get('/class/renewing').expect(200, 'ok');
    expect(reply.headers['set-cookie']).toBeUndefined();
    expect(await app.get(SessionStore).isEmpty()).toBe(true);
  });
});

describe('tap inside @SessionLock()', () => {
  let inner: unknown;

  @Controller('locked')
  @SessionLock()
  class Locked {
    constructor(private readonly store: SessionStore<Bag>) {}

    @Get('one')
    one(@Session() session: Session<Bag>) {
      return session.tap((data) => ({ n: ++data.n }));
    }

    @Get('several')
    async several(@Session() session: Session<Bag>) {
      const slowly = async (data: Bag) => {
        const { n } = data;
        await settle(3);
        data.n = n + 1;
      };
      await Promise.all([this.store.tap(session.id, slowly), session.tap(slowly), session.tap(slowly)]);
      return { n: session.get('n') as number };
    }

    @Get('nested')
    async nested(@Session() session: Session<Bag>) {
      await session.tap(async (data) => {
        data.n++;
        inner = await session
          .tap((its) => void its.n++)
          .then(
            () => undefined,
            (error: unknown) => error,
          );
      });
      return { n: session.get('n') as number };
    }

    @Get('around')
    async around(@Session() session: Session<Bag>) {
      const other = await this.store.create({ data: { n: 1 } });
      await this.store.tap(other.id, () =>
        session.tap(async () => {
          inner = await this.store
            .tap(other.id, (its) => void its.n++)
            .then(
              () => undefined,
              (error: unknown) => error,
            );
        }),
      );
    }
  }

  const stored = async (app: INestApplication, id: string) =>
    (await app.get<SessionStore<Bag>>(SessionStore).load(id))?.get('n');

  it.each([
    ['one', 2],
    ['several', 4],
  ])('%s: just run, and each alone', async (path, n) => {
    const app = await start(Locked);
    const { id } = await app.get<SessionStore<Bag>>(SessionStore).create({ data: { n: 1 } });
    const reply = await request(app.getHttpServer()).get(`/locked/${path}`).set('Cookie', `sid=${id}`);
    expect(reply.body).toEqual({ n });
    expect(await stored(app, id)).toBe(n);
  });

  it('one inside another is a clear error there, too: neither loses what the other did', async () => {
    inner = 'never ran';
    const app = await start(Locked);
    const { id } = await app.get<SessionStore<Bag>>(SessionStore).create({ data: { n: 1 } });
    await request(app.getHttpServer()).get('/locked/nested').set('Cookie', `sid=${id}`).expect(200);
    expect(inner).toBeInstanceOf(SessionLockError);
    expect(await stored(app, id)).toBe(2);
  });

  it('so is one inside another of the same session, with one of the locked session in between', async () => {
    inner = 'never ran';
    const app = await start(Locked);
    const { id } = await app.get<SessionStore<Bag>>(SessionStore).create({ data: { n: 1 } });
    await request(app.getHttpServer()).get('/locked/around').set('Cookie', `sid=${id}`).expect(200);
    expect(inner).toBeInstanceOf(SessionLockError);
    expect((inner as Error).message).toContain('inside a tap');
  });
});

describe('beside others', () => {
  it('@Session() of @nestjs/common keeps its meaning, also in the same handler', async () => {
    @Controller()
    class Both {
      @Get('both')
      both(@NestSession() theirs: Bag, @Session() ours: Session<Bag>) {
        return { theirs, ...add(ours) };
      }

      @Get('theirs')
      theirs(@NestSession() theirs: Bag) {
        return { theirs };
      }
    }
    @Module({ imports: [SessionModule.forRoot()], controllers: [Both] })
    class App {
      configure(consumer: MiddlewareConsumer) {
        consumer
          .apply((req: Bag, _res: unknown, next: () => void) => {
            req.session = { of: 'somebody else' };
            next();
          })
          .forRoutes('*path');
      }
    }
    const module = await Test.createTestingModule({ imports: [App] }).compile();
    const app = module.createNestApplication({ logger: false });
    running.push(app);
    await app.init();
    const agent = request.agent(app.getHttpServer());
    await agent.get('/both').expect(200, { theirs: { of: 'somebody else' }, visits: 1 });
    await agent.get('/both').expect(200, { theirs: { of: 'somebody else' }, visits: 2 });
    const reply = await agent.get('/theirs').expect(200, { theirs: { of: 'somebody else' } });
    expect(reply.headers['set-cookie']).toBeUndefined();
  });

  it("interceptors of the application's, above and below, see and change the session of the request", async () => {
    @Injectable()
    class Marking implements NestInterceptor {
      constructor(private readonly store: SessionStore<Bag>) {}
      async intercept(context: ExecutionContext, next: CallHandler) {
        const session = await this.store.of(context);
        session.set('marks', (session.get('marks') ?? 0) + 1);
        return next.handle();
      }
    }
    @Controller()
    @UseInterceptors(Marking)
    class Marked {
      @Get('marked')
      @UseInterceptors(Marking)
      marked(@Session() session: Session<Bag>) {
        return { marks: session.get('marks') as number };
      }
    }
    const app = await start(Marked);
    const agent = request.agent(app.getHttpServer());
    await agent.get('/marked').expect(200, { marks: 2 });
    await agent.get('/marked').expect(200, { marks: 4 });
  });
});
