import { afterEach, expect, it } from '@jest/globals';
import { AccountController } from './recipes/account.controller.js';
import { ClientsController } from './recipes/accounts/clients.controller.js';
import { described } from './recipes/accounts/options.js';
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
