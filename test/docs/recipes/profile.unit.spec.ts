import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { SessionModule, SessionStore } from 'nest-sessions';
import { ProfileController } from './profile.controller.js';

let module: TestingModule;

beforeAll(async () => {
  const imports = [SessionModule.forRoot({ purge: false })];
  module = await Test.createTestingModule({ imports, controllers: [ProfileController] }).compile();
});
afterAll(() => module.close());

test('the profile names its user', async () => {
  const session = await module.get<SessionStore>(SessionStore).create({ userId: 'ada' });
  expect(module.get(ProfileController).profile(session)).toMatchObject({ user: 'ada' });
});
