import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type RunningApp, stackPerPlatform, start } from '../support/app.js';
import { BasicController } from '../support/basic.js';

describe.each(stackPerPlatform)('a limit on the sessions of a user, over the wire: %s', (_title, stack) => {
  let app: RunningApp;

  afterEach(() => app.reset());
  afterAll(() => app.stop());

  describe('that refuses', () => {
    beforeAll(async () => {
      const session = { maxPerUser: 1, whenExceeded: 'refuse' } as const;
      app = await start(stack, { session, controllers: [BasicController] });
    });
    afterAll(() => app.stop());

    it('answers 409, and the visitor goes on as before: no new cookie, not logged in, with their data', async () => {
      await app.client().get('/login/ada');
      const visitor = app.client();
      await visitor.get('/set/n/1');
      const before = visitor.sid;
      const { status, setCookies, text } = await visitor.get('/login/ada');
      expect([status, setCookies]).toEqual([409, []]);
      expect(JSON.parse(text)).toEqual({ statusCode: 409, message: 'Conflict' });
      expect(visitor.sid).toBe(before);
      expect((await visitor.get('/all')).json()).toMatchObject({ userId: null, data: { n: '1' } });
    });

    it('lets them in once there is room', async () => {
      const [one, other] = [app.client(), app.client()];
      await one.get('/login/grace');
      expect((await other.get('/login/grace')).status).toBe(409);
      await one.get('/logout');
      expect((await other.get('/login/grace')).status).toBe(200);
    });
  });

  describe('that ends the oldest', () => {
    beforeAll(async () => {
      app = await start(stack, { session: { maxPerUser: 2 }, controllers: [BasicController] });
    });

    it('the one who was not there for longest is a visitor, and the others notice nothing', async () => {
      const clients = [app.client(), app.client(), app.client()];
      for (const client of clients) await client.get('/login/ada');
      const users = await Promise.all(
        clients.map(async (client) => (await client.get('/all')).json().userId),
      );
      expect(users).toEqual([null, 'ada', 'ada']);
      expect(app.eventTypes().filter((type) => type === 'destroyed')).toEqual(['destroyed']);
    });
  });
});
