import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import flash from 'connect-flash';
import cookieParser from 'cookie-parser';
import { doubleCsrf } from 'csrf-csrf';
import { csrfSync } from 'csrf-sync';
import { useReqSession } from 'nest-sessions/express';
import { SessionStore } from '../../src/index.js';
import { type RunningApp, stacks, start } from '../support/app.js';

/*
 * Middleware that keeps something in req.session.
 */

const onExpress = stacks.filter(([, { platform }]) => platform === 'express');

describe.each(onExpress)('with req.session on %s', (_, stack) => {
  let running: RunningApp;

  beforeAll(async () => {
    running = await start(stack, {
      configure(app: INestApplication) {
        const sync = csrfSync();
        const double = doubleCsrf({
          getSecret: () => 'a secret',
          getSessionIdentifier: (request: any) => request.session.id,
          cookieName: 'csrf',
          cookieOptions: { secure: false },
        });
        useReqSession(app);
        app.use(cookieParser());
        app.use(flash());
        app.use('/flash', (request: any, response: any) => {
          const before = request.flash('info');
          request.flash('info', 'hello');
          response.json(before);
        });
        app.use('/sync', sync.csrfSynchronisedProtection, (request: any, response: any) => {
          response.json({ token: request.csrfToken() });
        });
        app.use('/double', double.doubleCsrfProtection, async (request: any, response: any) => {
          // A visitor's id stays from when the session is stored on.
          await (await app.get(SessionStore).of(request)).start();
          response.json({ token: request.csrfToken() });
        });
      },
    });
  });
  afterAll(() => running.stop());
  beforeEach(() => running.reset());

  it('connect-flash shows a message on the next request, and once', async () => {
    const client = running.client();
    expect((await client.get('/flash')).json()).toEqual([]);
    expect((await client.get('/flash')).json()).toEqual(['hello']);
  });

  it.each(['/sync', '/double'])(
    '%s: a token of this session is asked for, and no other does',
    async (path) => {
      const client = running.client();
      const { token } = (await client.get(path)).json();
      const post = (value: string, sender = client) =>
        sender.post(path, { headers: { 'x-csrf-token': value } });
      expect((await post(token)).status).toBe(200);
      expect((await post(`${token}0`)).status).toBe(403);
      const other = running.client();
      await other.get(path);
      expect((await post(token, other)).status).toBe(403);
    },
  );
});
