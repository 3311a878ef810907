import { expect, test } from '@jest/globals';
import { testSession } from 'nest-sessions/testing';
import { ProfileController } from './profile.controller.js';

test('the profile names its user', async () => {
  const session = await testSession({ userId: 'ada' });
  expect(new ProfileController().profile(session)).toMatchObject({ user: 'ada' });
});
