import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { SessionModule } from 'nest-sessions';
import { sessionCookie } from 'nest-sessions/testing';
import request from 'supertest';
import { ProfileController } from './profile.controller.js';

let app: INestApplication;

beforeAll(async () => {
  const imports = [SessionModule.forRoot({ purge: false })];
  const module = await Test.createTestingModule({ imports, controllers: [ProfileController] }).compile();
  app = await module.createNestApplication().init();
});
afterAll(() => app.close());

test('the profile is for those who are logged in', async () => {
  await request(app.getHttpServer()).get('/profile').expect(401);

  const cookie = await sessionCookie(app, { userId: 'ada', data: { settings: { theme: 'dark' } } });
  const { body } = await request(app.getHttpServer()).get('/profile').set('Cookie', cookie).expect(200);
  expect(body.user).toBe('ada');
  await request(app.getHttpServer()).get('/theme').set('Cookie', cookie).expect('dark');
});
