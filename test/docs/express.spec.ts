import { afterEach, expect, it } from '@jest/globals';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import cookieParser from 'cookie-parser';
import { SessionStore } from 'nest-sessions';
import { useReqSession } from 'nest-sessions/express';
import request from 'supertest';
import {
  AuthController,
  bootstrap,
  doubleCsrfProtection,
  FormController,
  onFastify,
} from './recipes/passport.js';
import { run, sessions, stop } from './support.js';

/** What docs/express.md shows, at work. */
afterEach(stop);

const ada = { username: 'ada', password: 'engine-1843' };

it('Passport on Express', async () => {
  const app = run(await bootstrap(0));
  const agent = request.agent(app.getHttpServer());
  await agent
    .post('/login')
    .send({ ...ada, password: 'wrong' })
    .expect(401);
  await agent.post('/login').send(ada).expect(204);
  const { body } = await agent.get('/me').expect(200);
  expect(body).toEqual({ user: { id: 'ada' }, userId: 'ada', since: expect.stringMatching(/Z$/) });
  expect(await app.get(SessionStore).listByUser('ada')).toHaveLength(1);
  await agent.post('/logout').expect(204);
  await agent.get('/me').expect(401);
});

it('Passport on Fastify', async () => {
  const module = await Test.createTestingModule({
    imports: [sessions()],
    controllers: [AuthController],
  }).compile();
  const app = run(
    module.createNestApplication<NestFastifyApplication>(new FastifyAdapter(), { logger: false }),
  );
  await onFastify(app);
  const routes = app.getHttpAdapter().getInstance();
  routes.post('/in', async (incoming) => incoming.logIn({ id: 'ada' } as never));
  await app.listen(0, '127.0.0.1');
  const agent = request.agent(app.getHttpServer());
  await agent.post('/in').expect(200);
  const { body } = await agent.get('/me').expect(200);
  expect(body).toMatchObject({ user: { id: 'ada' }, userId: 'ada' });
});

it('csrf-csrf', async () => {
  process.env['CSRF_SECRET'] = 'a secret';
  const module = await Test.createTestingModule({
    imports: [sessions()],
    controllers: [FormController],
  }).compile();
  const app = run(module.createNestApplication({ logger: false }));
  useReqSession(app);
  app.use(cookieParser());
  app.use(doubleCsrfProtection);
  await app.init();
  const { body, headers } = await request(app.getHttpServer()).get('/form').expect(200);
  const cookie = (headers['set-cookie'] as unknown as string[]).map((text) => text.split(';')[0]).join('; ');
  const post = () => request(app.getHttpServer()).post('/form').set('cookie', cookie);
  await post().expect(403);
  await post().set('x-csrf-token', body.token).expect(404);
});
