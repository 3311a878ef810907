import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Session as PlainSession } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import expressSession from 'express-session';
import { Session, SessionStore } from 'nest-sessions';
import { moveSessions } from './recipes/move.js';
import { AppModule } from './recipes/move.module.js';
import { cookieOf, run, sessions, start, stop, visit } from './support.js';

/** What docs/upgrading.md shows, at work, with express-session itself. */
afterEach(stop);

const secret = 'what express-session had';
const options = { secret, resave: false, saveUninitialized: false };

@Controller()
class OldController {
  @Get('old')
  old(@PlainSession() session: Record<string, unknown>) {
    session['userId'] = 'ada';
    return { n: (session['n'] = Number(session['n'] ?? 0) + 1) };
  }
}

@Controller()
class NewController {
  @Get('new')
  new(@Session() session: Session<{ n: number }>) {
    session.set('n', (session.get('n') ?? 0) + 1);
    return { n: session.get('n'), userId: session.userId };
  }

  @Get('login')
  login(@Session() session: Session) {
    return session.login('ada');
  }
}

async function oldApp(store: expressSession.Store) {
  const module = await Test.createTestingModule({
    imports: [sessions()],
    controllers: [OldController, NewController],
  }).compile();
  const app = run(module.createNestApplication({ logger: false }));
  app.use(expressSession({ ...options, store }));
  return app.init();
}

describe('sessions of express-session', () => {
  it('go on, under the ids that browsers hold', async () => {
    const store = new expressSession.MemoryStore();
    const cookie = cookieOf(await visit(await oldApp(store)).get('/old'));
    store.set('over', { cookie: { expires: new Date(0) } } as expressSession.SessionData);
    await stop();

    const app = await start([NewController], [], [AppModule]);
    expect(await moveSessions(store, app.get(SessionStore))).toBe(1);
    const agent = visit(app);
    await agent.get('/new').set('Cookie', cookie).expect({ n: 2, userId: 'ada' });
    expect(cookieOf(await agent.get('/login').set('Cookie', cookie))).not.toBe(cookie);
    await visit(app).get('/new').set('Cookie', cookie).expect({ n: 1 });
  });

  it('and ours live side by side, while routes move over', async () => {
    const agent = visit(await oldApp(new expressSession.MemoryStore()));
    for (const n of [1, 2]) {
      await agent.get('/old').expect({ n });
      await agent.get('/new').expect({ n });
    }
  });
});
