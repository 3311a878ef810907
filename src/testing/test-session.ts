import { resolveOptions, type SessionModuleOptions } from '../nest/session.options.js';
import { SessionEvents } from '../session/events.js';
import type { DefaultSessionData } from '../session/session-data.js';
import { Session } from '../session/session.js';
import { type CreateSession, Sessions } from '../session/sessions.js';

/**
 * A session to hand to a handler in a unit test, without an application. It is a real one, over a memory storage of its
 * own.
 *
 * @param options what `SessionStore.create()` takes
 * @param settings what `SessionModule.forRoot()` takes, such as `initial`
 *
 * @example
 * const session = await testSession({ userId: 'ada', data: { visits: 1 } });
 * expect(controller.visit(session)).toBe('2 visits');
 */
export async function testSession<T extends object = DefaultSessionData>(
  options: CreateSession<T> = {},
  settings: SessionModuleOptions = {},
): Promise<Session<T>> {
  const resolved = resolveOptions(settings);
  const sessions = new Sessions(resolved.storage, resolved, new SessionEvents(console));
  return new Session<T>(await sessions.create(options), sessions);
}
