import { Controller, Get, type INestApplication, Req } from '@nestjs/common';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type ReqSession, type ReqSessionOptions, useReqSession } from 'nest-sessions/express';
import { Session } from '../../src/index.js';
import { type AnySession, type RunningApp, stacks, start } from '../support/app.js';

type Handler = (request: any, session: AnySession) => unknown;
let handler: Handler;

@Controller()
class AnyController {
  @Get('with')
  with(@Req() request: any, @Session() session: AnySession) {
    return handler(request, session);
  }

  @Get('bare')
  bare(@Req() request: any) {
    return handler(request, undefined as never);
  }
}

describe.each(stacks)('req.session on %s', (_, stack) => {
  let running: RunningApp;
  const options: ReqSessionOptions = {};

  beforeAll(async () => {
    running = await start(stack, {
      controllers: [AnyController],
      configure: (app: INestApplication) => useReqSession(app, options),
    });
  });
  afterAll(() => running.stop());
  beforeEach(() => running.reset());

  it('shows the data of the session, and saves what is changed', async () => {
    const client = running.client();
    handler = ({ session }) => {
      session.visits = (session.visits ?? 0) + 1;
      return session.visits;
    };
    expect((await client.get('/bare')).text).toBe('1');
    expect((await client.get('/bare')).text).toBe('2');
    handler = (_request, session) => session.get('visits');
    expect((await client.get('/with')).text).toBe('2');
  });

  it('regenerates', async () => {
    const client = running.client();
    handler = ({ session }) => void (session.old = { a: 1 });
    await client.get('/bare');
    const { sid } = client;
    handler = (request) =>
      new Promise((resolve, reject) => {
        const before: ReqSession = request.session;
        before.regenerate((error) =>
          error
            ? reject(error as Error)
            : resolve({
                before: { ...before },
                after: { ...request.session },
                isNew: before !== request.session,
              }),
        );
      });
    const reply = await client.get('/bare');
    expect(reply.json()).toEqual({ before: { old: { a: 1 } }, after: {}, isNew: true });
    expect(client.sid).not.toBe(sid);
    handler = ({ session }) => Object.keys(session);
    expect((await client.get('/bare')).json()).toEqual([]);
  });
});
