import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { type Session, SessionStore } from 'nest-sessions';
import { sessionCookie } from 'nest-sessions/testing';
import { useData, useSession, useStore } from './recipes/api.js';
import { AdminGuard } from './recipes/admin.guard.js';
import { AuditService } from './recipes/audit.service.js';
import { GateGuard } from './recipes/gate.guard.js';
import { ImportController } from './recipes/import.controller.js';
import { ProfileController } from './recipes/profile.controller.js';
import { VisitorController } from './recipes/visitor.controller.js';
import { cookieOf, start, stop, visit } from './support.js';

/** What docs/api.md shows, at work. That it is the same code is for readme.spec.ts to say. */
afterEach(stop);

describe('a session', () => {
  const cart = { items: [{ sku: 'tea', qty: 2 }] };
  const create = async (): Promise<Session<any>> =>
    (await start([])).get<SessionStore<any>>(SessionStore).create();

  it('does what the comments say', async () => {
    const seen: unknown[] = [];
    await useSession(await create(), seen);
    expect(seen).toEqual([1, true, 'SPRING', 1, false, ['visits', 'cart'], { visits: 2, cart }]);
  });

  it('does the same as an object', async () => {
    const session = await create();
    const seen: unknown[] = [];
    useData(session, seen);
    const data = { visits: 1, cart: { items: [{ sku: 'tea', qty: 1 }] } };
    expect(seen).toEqual([
      false,
      ['visits', 'cart'],
      JSON.stringify(data),
      { visits: 1, cart: { items: [] } },
    ]);
    expect(session.toJSON()).toEqual(data);
  });

  it('of a visitor is stored when it is asked to be', async () => {
    const app = await start([VisitorController]);
    const agent = visit(app);
    const { body } = await agent.get('/try-it').expect(200);
    expect(body).toEqual({ handle: expect.any(String), minutes: 60 });
    await agent.get('/try-it').expect(body);
    expect(await app.get(SessionStore).count()).toBe(1);
  });
});

it('the store does what the comments say', async () => {
  const seen: unknown[] = [];
  await useStore((await start([])).get(SessionStore), seen);
  const info = { userId: 'ada', data: { visits: 3 }, authenticatedAt: expect.any(Date) };
  expect(seen).toEqual([3, [expect.objectContaining(info)], 0, true, false, 0, true, 0]);
});

it('decorators and guards', async () => {
  const agent = visit(await start([ProfileController]));
  await agent.get('/profile').expect(401);
  await agent.get('/theme').expect('light');
  await agent.get('/ping').expect('pong');
  await agent.get('/news').expect(/Hello, visitor/);
});

it.each([
  [AdminGuard, [{ role: 'admin' }, { role: 'guest' }]],
  [GateGuard, [{}, { banned: true }]],
])('%p lets one in and not the other', async (Guard, people) => {
  const app = await start([], [Guard]);
  const ask = async (data: object) => {
    const request = new IncomingMessage(new Socket());
    request.headers.cookie = await sessionCookie(app, { data });
    const context = new ExecutionContextHost([request, new ServerResponse(request)], Guard, ask);
    return app.get(Guard).canActivate(context);
  };
  expect(await Promise.all(people.map(ask))).toEqual([true, false]);
});

it('a cookie by hand', async () => {
  const answer = await visit(await start([ImportController]))
    .get('/start')
    .expect(200);
  expect(answer.headers['set-cookie']![0]).toMatch(
    /^sid=[\w-]{22}\.[\w-]{43}; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax$/,
  );
  expect(cookieOf(answer)).toContain(answer.text.replace('Session ', 'sid='));
});

it('events', async () => {
  const log = jest.spyOn(Logger.prototype, 'log').mockReturnValue();
  const app = await start([], [AuditService]);
  const { handle } = await app.get(SessionStore).create({ userId: 'ada' });
  expect(log).toHaveBeenCalledWith({ type: 'created', handle, userId: 'ada', at: expect.any(Date) });
});
