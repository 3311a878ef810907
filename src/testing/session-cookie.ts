import type { INestApplicationContext } from '@nestjs/common';
import { SessionCookie } from '../http/cookie.js';
import { SessionStore } from '../nest/session.store.js';
import type { CreateSession } from '../session/sessions.js';

/**
 * Starts a session in a running application and gives the `Cookie` header that carries it, so that an
 * end-to-end test starts where it wants to: logged in, with a basket.
 *
 * @example
 * const cookie = await sessionCookie(app, { userId: 'ada', data: { theme: 'dark' } });
 * await request(app.getHttpServer()).get('/profile').set('Cookie', cookie).expect(200);
 */
export async function sessionCookie<T extends object = Record<string, any>>(
  app: INestApplicationContext,
  session: CreateSession<T> = {},
): Promise<string> {
  const store = app.get<SessionStore<T>>(SessionStore, { strict: false });
  const cookie = app.get(SessionCookie, { strict: false });
  return cookie.pair((await store.create(session)).id);
}
