import { afterEach, expect, it } from '@jest/globals';
import { SessionStore } from 'nest-sessions';
import { AppModule } from './recipes/graphql.module.js';
import { start, stop, visit } from './support.js';

/** What docs/graphql.md shows, at work. */
afterEach(stop);

it('resolvers have the session of their request, and a mutation that logs in sets the cookie', async () => {
  const app = await start([], [], [AppModule]);
  const agent = visit(app);
  const ask = async (query: string) => {
    const { body } = await agent.post('/graphql').send({ query }).expect(200);
    return body.errors?.[0].message ?? body.data;
  };
  expect(await ask('{ me }')).toBe('Unauthorized');
  expect(await ask('{ theme }')).toEqual({ theme: 'light' });
  expect(await app.get(SessionStore).count()).toBe(0);
  expect(await ask('mutation { login(name: "ada", password: "guess") }')).toBe('Unauthorized');
  expect(await ask('mutation { login(name: "ada", password: "engine-1843") }')).toEqual({ login: true });
  expect(await ask('{ me theme }')).toEqual({ me: 'ada', theme: 'light' });
});
