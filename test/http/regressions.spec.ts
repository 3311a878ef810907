import { afterEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  type INestApplication,
  Module,
  type Type,
  UnauthorizedException,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import {
  MemoryStorage,
  Session,
  SessionLock,
  SessionModule,
  type SessionModuleOptions,
  SessionStore,
} from '../../src/index.js';
import { AsyncStorage } from '../support/storages.js';

/** What went wrong once, each with the request that showed it. */

type AnySession = Session<Record<string, any>>;
let apps: INestApplication[] = [];

async function start(
  platform: string,
  controller: Type,
  options: SessionModuleOptions,
  use: unknown[] = [],
): Promise<string> {
  @Module({ imports: [SessionModule.forRoot(options)], controllers: [controller] })
  class AppModule {}
  const adapter = platform === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
  const app = await NestFactory.create(AppModule, adapter as ExpressAdapter, { logger: false });
  for (const middleware of use) app.use(middleware);
  await app.listen(0, '127.0.0.1');
  apps.push(app);
  return app.getUrl();
}

afterEach(async () => {
  await Promise.all(apps.map((app) => app.close()));
  apps = [];
});

const cookieOf = (reply: Response): string => reply.headers.getSetCookie()[0]?.split(';', 1)[0] ?? '';

describe.each(['express', 'fastify'])('%s', (platform) => {
  describe.each([
    ['memory storage', () => new MemoryStorage()],
    ['asynchronous storage', () => new AsyncStorage()],
  ] as const)('%s', (title, storage) => {
    @Controller()
    class Contended {
      constructor(private readonly store: SessionStore<Record<string, any>>) {}

      @Get('contended') async login(@Session() session: AnySession) {
        await session.login('grace');
        await session.regenerate();
        const other = (await this.store.load(session.id))!;
        await other.login('ada');
        return session.login('grace').then(
          () => 'in',
          (error: Error) => error.name,
        );
      }
    }

    it('a login that was refused, as another user is in by now, tells no dead id (S11, S27)', async () => {
      const url = await start(platform, Contended, { storage: storage() });
      const reply = await fetch(`${url}/contended`);
      expect(await reply.text()).toBe('SessionConflictError');
      expect(cookieOf(reply)).toBe('');
    });

    @Controller()
    class Revoking {
      constructor(private readonly store: SessionStore<Record<string, any>>) {}

      @Get('revoke') async revoke(@Session() session: AnySession) {
        session.set('n', 1);
        await session.save();
        return String(await this.store.revoke(session.handle));
      }
      @Get('all') async all(@Session() session: AnySession) {
        await session.login('ada');
        return String((await this.store.destroyByUser('ada')) === 1);
      }
    }

    it.each(['revoke', 'all'])(
      'a session that is made, and ended before its answer is out, tells no dead id (S27, S29): %s',
      async (path) => {
        const url = await start(platform, Revoking, { storage: storage() });
        const reply = await fetch(`${url}/${path}`);
        expect(await reply.text()).toBe('true');
        expect(cookieOf(reply)).toBe('');
      },
    );

    @Controller()
    class Flashing {
      @Get('login') async login(@Session() session: AnySession) {
        session.flash('notice', 'Welcome');
        await session.login('ada');
        return 'in';
      }
      @Get('tap') async tap(@Session() session: AnySession) {
        session.flash('notice', 'Welcome');
        await session.tap((data) => void (data.n = 1));
        return 'tapped';
      }
      @Get('notice') notice(@Session() session: AnySession) {
        return String(session.flashed('notice'));
      }
    }

    it.each(['login', 'tap'])(
      'a flash before the %s of a new visitor is there for the next request',
      async (path) => {
        const url = await start(platform, Flashing, { storage: storage() });
        const reply = await fetch(`${url}/${path}`, { signal: AbortSignal.timeout(4_000) });
        const headers = { cookie: cookieOf(reply) };
        expect(await (await fetch(`${url}/notice`, { headers })).text()).toBe('Welcome');
        expect(await (await fetch(`${url}/notice`, { headers })).text()).toBe('undefined');
      },
    );

    @Controller()
    class Restless {
      @Get() restless(@Session() session: AnySession) {
        let n = 0;
        session.set('seen', { toJSON: () => ++n });
        return 'sent';
      }
    }

    it('a value that changes all the time does not hold the answer for ever', async () => {
      const url = await start(platform, Restless, { storage: storage() });
      expect(await (await fetch(url, { signal: AbortSignal.timeout(4_000) })).text()).toBe('sent');
    });

    @Controller()
    class Counting {
      @Get('start') start(@Session() session: AnySession) {
        session.set('n', 0);
        return 'started';
      }
      @Get('fail') @SessionLock() fail(@Session() session: AnySession) {
        session.set('n', (session.get('n') as number) + 1);
        throw new UnauthorizedException();
      }
      @Get('n') n(@Session() session: AnySession) {
        return String(session.get('n'));
      }
      @Get('logout') @SessionLock() async logout(@Session() session: AnySession) {
        await session.logout();
        return 'bye';
      }
    }

    it('@SessionLock() covers a handler that throws: no failed login goes uncounted', async () => {
      const url = await start(platform, Counting, { storage: storage() });
      const headers = { cookie: cookieOf(await fetch(`${url}/start`)) };
      const replies = await Promise.all(Array.from({ length: 10 }, () => fetch(`${url}/fail`, { headers })));
      expect(replies.map(({ status }) => status)).toEqual(Array(10).fill(401));
      expect(await (await fetch(`${url}/n`, { headers })).text()).toBe('10');
    });

    it('a locked route whose session ended while it waited does not run (S57)', async () => {
      const url = await start(platform, Counting, { storage: storage() });
      const headers = { cookie: cookieOf(await fetch(`${url}/start`)) };
      const replies = await Promise.all([1, 2].map(() => fetch(`${url}/logout`, { headers })));
      // Where the storage answers at once, the first one is through before the second is read: that is a new visitor's.
      const second = title === 'memory storage' ? 200 : 401;
      expect(replies.map(({ status }) => status).toSorted()).toEqual([200, second]);
    });
  });

  it('a touch never writes the deadline of an idle timeout that another request changed (S19, S23)', async () => {
    let go = () => {};
    const gate = new Promise<void>((resolve) => (go = resolve));
    let reached = () => {};
    const inside = new Promise<void>((resolve) => (reached = resolve));
    @Controller()
    class Remembering {
      @Get('start') start(@Session() session: AnySession) {
        session.set('n', 1);
        return session.handle;
      }
      @Get('slow') async slow(@Session() _session: AnySession) {
        reached();
        await gate;
        return 'slow';
      }
      @Get('remember') remember(@Session() session: AnySession) {
        session.expireIn('30d');
        return 'remembered';
      }
    }
    const storage = new AsyncStorage();
    const url = await start(platform, Remembering, { storage, ttl: '1h', touchAfter: 0 });
    const first = await fetch(`${url}/start`);
    const handle = await first.text();
    const headers = { cookie: cookieOf(first) };
    const slow = fetch(`${url}/slow`, { headers });
    await inside;
    await fetch(`${url}/remember`, { headers });
    go();
    expect((await slow).status).toBe(200);
    const record = (await storage.read(handle))!;
    expect(record.expiresAt - Date.now()).toBeGreaterThan(29 * 24 * 3_600_000);
  });
});

describe('a locked route that holds the session for too long (S54)', () => {
  let mayEnd = () => {};
  let ended = new Promise<void>(() => {});
  let entered = () => {};

  @Controller()
  class Late {
    @Get('start') start(@Session() session: AnySession) {
      session.set('n', 0);
      return 'started';
    }
    @Get('write') @SessionLock() async write(@Session() session: AnySession) {
      entered();
      await ended;
      session.set('late', true);
      return 'written';
    }
    @Get('rotate') @SessionLock() async rotate(@Session() session: AnySession) {
      entered();
      await ended;
      await session.regenerate();
      return 'rotated';
    }
    @Get('next') @SessionLock() next(@Session() session: AnySession) {
      session.set('n', 1);
      return 'next';
    }
  }

  it.each(['write', 'rotate'])('cannot %s any more once another one has it', async (path) => {
    ended = new Promise<void>((resolve) => (mayEnd = resolve));
    const storage = new MemoryStorage();
    const url = await start('fastify', Late, { storage, lock: { hold: 0.05 } });
    const cookie = cookieOf(await fetch(`${url}/start`));
    const store = apps[0]!.get<SessionStore>(SessionStore);
    const inside = new Promise<void>((resolve) => (entered = resolve));
    const late = fetch(`${url}/${path}`, { headers: { cookie } });
    await inside;
    const nextReply = await fetch(`${url}/next`, { headers: { cookie } });
    expect(await nextReply.text()).toBe('next');
    mayEnd();
    expect((await late).status).toBe(503);
    const session = await store.load(cookie.slice('sid='.length));
    expect(session!.toJSON()).toEqual({ n: 1 });
  });
});

describe('middleware that wraps the response', () => {
  @Controller()
  class Logins {
    @Get() async login(@Session() session: AnySession) {
      await session.login('ada');
      return 'in';
    }
  }

  it('the very first response of a process has its cookie, whatever was wrapped around it (S37)', async () => {
    // As morgan, compression and others do it.
    const wrap = (_request: unknown, response: Record<string, any>, next: () => void) => {
      for (const method of ['writeHead', 'end']) {
        const before = response[method];
        response[method] = function (this: unknown, ...args: unknown[]) {
          return before.apply(this, args);
        };
      }
      next();
    };
    const url = await start('express', Logins, {}, [wrap]);
    for (let i = 0; i < 3; i++) expect((await fetch(url)).headers.getSetCookie()).toHaveLength(1);
  });
});

describe('one new session, two things at once', () => {
  @Controller()
  class Twice {
    @Get('regenerate') async regenerate(@Session() session: AnySession) {
      session.set('n', 1);
      await Promise.all([session.regenerate(), session.save()]);
      return 'done';
    }
    @Get('login') async login(@Session() session: AnySession) {
      await Promise.all([session.login('ada'), session.save()]);
      return 'done';
    }
    @Get('failed') async failed(@Session() session: AnySession) {
      storage.refuse = true;
      await session.login('ada').catch(() => undefined);
      storage.refuse = false;
      session.set('n', 1);
      return 'failed';
    }
    @Get('who') who(@Session() session: AnySession) {
      return session.userId ?? 'nobody';
    }
  }
  class Refusing extends AsyncStorage {
    refuse = false;
    override create(record: Parameters<AsyncStorage['create']>[0]) {
      return this.refuse ? Promise.reject(new Error('no')) : super.create(record);
    }
  }
  let storage: Refusing;

  it.each(['regenerate', 'login'])(
    '%s beside a save leaves one record, and the cookie of it',
    async (path) => {
      storage = new Refusing();
      const url = await start('express', Twice, { storage });
      const cookie = cookieOf(await fetch(`${url}/${path}`));
      const store = apps[0]!.get<SessionStore>(SessionStore);
      expect(await store.count()).toBe(1);
      expect(await store.load(cookie.slice('sid='.length))).toBeDefined();
    },
  );

  it('a login that could not be stored leaves nobody logged in (S18)', async () => {
    storage = new Refusing();
    const url = await start('express', Twice, { storage });
    const cookie = cookieOf(await fetch(`${url}/failed`));
    expect(await (await fetch(`${url}/who`, { headers: { cookie } })).text()).toBe('nobody');
  });
});
