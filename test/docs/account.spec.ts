import { afterEach, describe, expect, it } from '@jest/globals';
import { SessionStore } from 'nest-sessions';
import { AccountController } from './recipes/account.controller.js';
import { SignedOutController } from './recipes/signed-out.controller.js';
import { Users } from './recipes/users.js';
import { cookieOf, start, stop, visit } from './support.js';

/** The recipes of docs/recipes.md about who is logged in, at work. */
afterEach(stop);

const ada = { name: 'ada', password: 'engine-1843' };

it('login, remember me, logout', async () => {
  const agent = visit(await start([AccountController], [Users]));
  await agent
    .post('/login')
    .send({ ...ada, password: 'wrong' })
    .expect(401);
  const short = await agent.post('/login').send(ada).expect(204);
  expect(String(short.headers['set-cookie'])).toContain('Max-Age=3600');
  const long = await agent
    .post('/login')
    .send({ ...ada, remember: true })
    .expect(204);
  expect(String(long.headers['set-cookie'])).toContain('Max-Age=2592000');
  expect(cookieOf(long)).not.toBe(cookieOf(short));
  const { headers } = await agent.post('/logout').expect(204);
  expect(String(headers['set-cookie'])).toContain('Max-Age=0');
  await agent.get('/devices').expect(401);
});

it('your devices: listed and ended, and nobody else’s', async () => {
  const app = await start([AccountController], [Users]);
  const agent = visit(app);
  await agent.post('/login').send(ada);
  const store = app.get(SessionStore);
  const other = await store.create({ userId: 'ada' });
  const stranger = await store.create({ userId: 'grace' });
  const { body } = await agent.get('/devices').expect(200);
  expect(body.map((device: { thisOne: boolean }) => device.thisOne).toSorted()).toEqual([false, true]);
  await agent.delete(`/devices/${stranger.handle}`).expect(404);
  await agent.delete(`/devices/${other.handle}`).expect(204);
  expect(await store.load(other.id)).toBeUndefined();
  expect(await store.load(stranger.id)).toBeDefined();
});

it('a new password ends the other sessions and changes the id of this one', async () => {
  const app = await start([AccountController], [Users]);
  const agent = visit(app);
  const before = await agent.post('/login').send(ada);
  const other = await app.get(SessionStore).create({ userId: 'ada' });
  const after = await agent.post('/password').send({ password: 'new' }).expect(204);
  expect(cookieOf(after)).not.toBe(cookieOf(before));
  expect(await app.get(SessionStore).load(other.id)).toBeUndefined();
  await agent.get('/devices').expect(200);
});

describe('who was logged out', () => {
  it('is told so, on the login page and by a refusal; a newcomer is not', async () => {
    const app = await start([SignedOutController]);
    const { id } = await app.get(SessionStore).create({ userId: 'ada' });
    const ask = (path: string, cookie = '') => visit(app).get(path).set('Cookie', cookie);
    await ask('/mail', `sid=${id}`).expect(200, 'Mail of ada');

    await app.get(SessionStore).destroy(id);
    await ask('/mail', `sid=${id}`).expect(401, { message: 'You have been logged out.' });
    await ask('/login', `sid=${id}`).expect('You have been logged out. Please log in again.');
    await ask('/mail').expect(401, { message: 'Please log in.' });
    await ask('/login').expect('Please log in.');
  });
});
