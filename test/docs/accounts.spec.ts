import { afterEach, expect, it } from '@jest/globals';
import { SessionStore } from 'nest-sessions';
import { AccountController } from './recipes/account.controller.js';
import { ClientsController } from './recipes/accounts/clients.controller.js';
import { LimitController } from './recipes/accounts/limit.controller.js';
import { described, LimitedModule, refusing } from './recipes/accounts/options.js';
import { Users } from './recipes/users.js';
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
