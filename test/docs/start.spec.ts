import { once } from 'node:events';
import type { Server } from 'node:http';
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import request from 'supertest';
import { AppModule } from './start/app.module.js';
import { run, stop, urlOf } from './support.js';

/** What README.md shows first, at work. That it is the same code is for readme.spec.ts to say. */
let port: string | undefined;
beforeEach(() => {
  port = process.env['PORT'];
  process.env['PORT'] = '0';
});
afterEach(async () => {
  if (port === undefined) delete process.env['PORT'];
  else process.env['PORT'] = port;
  await stop();
});

it('main.ts starts the application as it stands', async () => {
  const create = jest.spyOn(NestFactory, 'create');
  jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  await import('./start/main.js');
  const app = run(await (create.mock.results[0]!.value as Promise<INestApplication>));
  const server: Server = app.getHttpServer();
  if (!server.listening) await once(server, 'listening');
  const agent = request.agent(urlOf(app));
  await agent.get('/').expect(200, '1 visits');
  await agent.get('/').expect(200, '2 visits');
  await agent.get('/visitors').expect(200, '1 visitors');
  expect(app.select(AppModule)).toBeDefined();
});
