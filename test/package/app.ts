// The application that every check installs the packed package into: only its module system and Nest differ.
import 'reflect-metadata';
import { Controller, Get, Injectable, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TerminusModule } from '@nestjs/terminus';
import { Session, SessionModule, SessionStore } from 'nest-sessions';
import { SessionMetricsModule } from 'nest-sessions/opentelemetry';
import { ConnectStorage, connectShim, expressSessions, useReqSession } from 'nest-sessions/express';
import { RedisStorage } from 'nest-sessions/redis';
import { SqlStorage } from 'nest-sessions/sql';
import { SessionHealthIndicator } from 'nest-sessions/terminus';
import { SessionSockets, SessionSocketsModule, withSessions } from 'nest-sessions/websockets';
import { WsAdapter } from '@nestjs/platform-ws';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { WebSocket } from 'ws';
import { describeSessionStorage, sessionCookie, testSession } from 'nest-sessions/testing';

declare module 'nest-sessions' {
  interface SessionData {
    visits: number;
  }
}

@Injectable()
class Visits {
  constructor(private readonly store: SessionStore) {}
  count(): Promise<number> {
    return this.store.count();
  }
}

@Controller()
class VisitsController {
  constructor(private readonly visits: Visits) {}

  @Get()
  visit(@Session() session: Session) {
    const visits = (session.get('visits') ?? 0) + 1;
    session.set('visits', visits);
    return `${visits} visits`;
  }

  @Get('me')
  me(@Session() session: Session<{ visits: number }>) {
    return session.userId ?? 'nobody';
  }

  @Post('logout')
  async logout(@Session() session: Session) {
    await session.logout();
    return this.visits.count();
  }
}

@WebSocketGateway()
class VisitsGateway {
  @SubscribeMessage('me')
  me(@Session() session: Session) {
    return { event: 'you', data: session.userId };
  }
}

@Module({
  imports: [
    TerminusModule,
    SessionMetricsModule,
    SessionModule.forRoot({ ttl: '1h', cookieName: 'sid', secret: 'packed' }),
    SessionSocketsModule,
  ],
  controllers: [VisitsController],
  providers: [Visits, VisitsGateway, SessionHealthIndicator],
})
class AppModule {}

function expect(what: string, actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`${what}: expected ${String(expected)}, got ${String(actual)}`);
}

const WRONG = 'nowhere://';

/** A store as its factory makes one, without express-session. */
class NothingStore extends connectShim.Store {
  get(_sid: string, callback: () => void) {
    callback();
  }
  set(_sid: string, _session: object, callback: () => void) {
    callback();
  }
  destroy(_sid: string, callback: () => void) {
    callback();
  }
}

const foreign = async (url: string, cookie: string) =>
  String(
    (
      await fetch(`${url}/logout`, {
        method: 'POST',
        headers: { cookie, origin: 'https://elsewhere.example' },
      })
    ).status,
  );

const refusal = (work: () => Promise<unknown>): Promise<unknown> =>
  work().then(
    () => 'none',
    (error: { code?: string }) => error.code,
  );

/** What a gateway answers, and the code that the socket is closed with once the session has ended. */
function overSocket(url: string, cookie: string, end: () => unknown): Promise<string> {
  const socket = new WebSocket(url.replace('http', 'ws'), { headers: { cookie } });
  return new Promise((resolve, reject) => {
    let text = '';
    socket.on('error', reject);
    socket.on('open', () => socket.send('{"event":"me"}'));
    socket.on('message', (message) => {
      text = String(message);
      end();
    });
    socket.on('close', (code) => resolve(`${text} ${code}`));
  });
}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ['warn', 'error'] });
  useReqSession(app, { only: (request) => request.url === '/req-session' });
  app.use('/req-session', (request: { session: object }, response: { end(text: string): void }) => {
    response.end(JSON.stringify(request.session));
  });
  app.useWebSocketAdapter(withSessions(new WsAdapter(app), app, { require: 'user' }));
  await app.listen(0, '127.0.0.1');
  const url = (await app.getUrl()).replace('localhost', '127.0.0.1');
  const get = async (path: string, cookie: string, method = 'GET') =>
    (await fetch(url + path, { method, headers: { cookie } })).text();

  const first = await fetch(url);
  expect('first visit', await first.text(), '1 visits');
  const cookie = first.headers.getSetCookie()[0]?.split(';', 1)[0] ?? '';
  expect('second visit', await get('/', cookie), '2 visits');
  expect('req.session', await get('/req-session', cookie), '{"visits":2}');
  expect('log out', await get('/logout', cookie, 'POST'), '0');
  expect('after logging out', await get('/', cookie), '1 visits');
  expect(
    'logged in by the test helper',
    await get('/me', await sessionCookie(app, { userId: 'ada' })),
    'ada',
  );
  const end = () => app.get(SessionStore).destroyByUser('grace');
  expect(
    'a socket',
    await overSocket(url, await sessionCookie(app, { userId: 'grace' }), end),
    '{"event":"you","data":"grace"} 4401',
  );
  expect('the sockets of a user', app.get(SessionSockets).ofUser('grace').length, 0);
  expect('contract suite', typeof describeSessionStorage, 'function');
  expect('a session for a unit test', (await testSession({ userId: 'ada' })).userId, 'ada');
  expect('a page of another origin', await foreign(url, cookie), '403');
  expect('tables', SqlStorage.ddl('sqlite').includes('sessions_leases'), true);
  expect('an importer', expressSessions({ secret: 'old', store: new NothingStore() }).keep, false);
  expect('a store of others', await new ConnectStorage(new NothingStore()).destroy('handle'), false);
  for (const storage of [RedisStorage, SqlStorage])
    expect('a URL of no database', await refusal(() => storage.connect(WRONG)), 'ERR_SESSION_OPTIONS');
  expect('health', (await app.get(SessionHealthIndicator).isHealthy('sessions')).sessions.status, 'up');
  await app.close();
  console.log('works');
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
