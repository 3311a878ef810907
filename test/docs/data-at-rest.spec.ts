import { afterEach, describe, expect, it } from '@jest/globals';
import { SessionStore } from 'nest-sessions';
import { encrypted, switchedOn, withNewKey } from './recipes/data-at-rest.js';
import { AppModule } from './recipes/schema.module.js';
import { start, stop, visit } from './support.js';

/** What docs/data-at-rest.md shows, at work. That it is the same code is for readme.spec.ts to say. */
describe('encryption', () => {
  const { env } = process;

  afterEach(async () => {
    delete env['SESSION_KEY'];
    delete env['OLD_SESSION_KEY'];
    await stop();
  });

  it.each([encrypted, withNewKey, switchedOn])('%p starts, and data come back', async (imports) => {
    env['SESSION_KEY'] = 'a key';
    env['OLD_SESSION_KEY'] = 'the key of before';
    const store = (await start([], [], imports())).get<SessionStore<{ n: number }>>(SessionStore);
    const { id } = await store.create({ data: { n: 1 } });
    expect((await store.load(id))!.toJSON()).toEqual({ n: 1 });
  });

  it('a key that is not in the environment stops the start', async () => {
    await expect(start([], [], encrypted())).rejects.toThrow('encryption.keys');
  });
});

describe('a schema', () => {
  afterEach(stop);

  it('gives a new visitor what it says', async () => {
    await visit(await start([], [], [AppModule]))
      .get('/cart')
      .expect(200, []);
  });
});
