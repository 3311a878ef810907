import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SessionStore } from 'nest-sessions';
import { sessionCookie } from 'nest-sessions/testing';
import { AccountController } from './recipes/account.controller.js';
import { AdminController } from './recipes/accounts/admin.controller.js';
import { ClientsController } from './recipes/accounts/clients.controller.js';
import { LimitController } from './recipes/accounts/limit.controller.js';
import { RecentController } from './recipes/accounts/recent.controller.js';
import { described, LimitedModule, refusing } from './recipes/accounts/options.js';
import { Users } from './recipes/users.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { start, stop, visit } from './support.js';

/** What docs/accounts.md shows, at work. */
afterEach(stop);

const ada = { name: 'ada', password: 'engine-1843' };

it('which client it was', async () => {
  const app = await start([ClientsController, AccountController], [Users], described);
  const agent = visit(app).set('user-agent', `Firefox ${'x'.repeat(2_000)}`);
  await agent.post('/login').send(ada).expect(204);
  const { body } = await agent.get('/devices').expect(200);
  expect(body).toEqual([
    {
      device: expect.stringMatching(/^Firefox x{192}$/),
      address: expect.stringContaining('127.0.0.1'),
      lastUsed: expect.any(String),
      thisOne: true,
    },
  ]);
});

it('as many sessions as there may be: the oldest ends', async () => {
  const app = await start([AccountController], [Users], [LimitedModule]);
  const agents = Array.from({ length: 5 }, () => visit(app));
  for (const agent of agents) await agent.post('/login').send(ada).expect(204);
  expect(await app.get(SessionStore).listByUser('ada')).toHaveLength(3);
});

it('as many sessions as there may be: a login is refused, until another ends', async () => {
  const app = await start([LimitController], [Users], refusing);
  await visit(app).post('/login').send(ada).expect(204);
  const agent = visit(app);
  const { headers } = await agent.post('/login').send(ada).expect(409);
  expect(headers['set-cookie']).toBeUndefined();
  await agent
    .post('/login')
    .send({ ...ada, endOthers: true })
    .expect(204);
  expect(await app.get(SessionStore).listByUser('ada')).toHaveLength(1);
});

it('changes from outside, and all sessions', async () => {
  const app = await start([AdminController], [Users]);
  const store = app.get<SessionStore<{ role: string; notice: string }>>(SessionStore);
  const cookie = await sessionCookie(app, { userId: 'root', data: { role: 'admin' } });
  const ask = (path: string) => visit(app).post(path).set('Cookie', cookie);
  const { handle } = await store.create({ userId: 'ada', data: { role: 'guest' } });
  await store.create({ userId: 'ada' });

  await ask('/admin/users/ada/role/editor').expect(201, '2');
  await ask(`/admin/sessions/${handle}/notice`).expect(204);
  const infos = await store.listByUser('ada');
  expect(infos.map(({ data }) => data.role)).toEqual(['editor', 'editor']);
  expect(infos.find((info) => info.handle === handle)!.data.notice).toContain('Support');

  const { body } = await visit(app).get('/admin/sessions').set('Cookie', cookie).expect(200);
  expect(body.sessions.map(({ userId }: { userId: string }) => userId).toSorted()).toEqual([
    'ada',
    'ada',
    'root',
  ]);
});

describe('a recent login', () => {
  beforeEach(freezeTime);
  afterEach(unfreezeTime);

  it('is asked for, and made by the password', async () => {
    const agent = visit(await start([AccountController, RecentController], [Users]));
    await agent.delete('/account').expect(401);
    await agent.post('/login').send(ada).expect(204);
    passTime(600_000);
    const { body } = await agent.delete('/account').expect(403);
    expect(body.code).toBe('ERR_SESSION_NOT_RECENT');
    await agent.post('/confirm').send({ password: 'wrong' }).expect(401);
    await agent.post('/confirm').send({ password: ada.password }).expect(204);
    await agent.delete('/account').expect(204);
    await agent.post('/login').send(ada).expect(401);
  });
});
