import type { SessionData, Store } from 'express-session';
import type { SessionStore } from 'nest-sessions';

/** What lies in the old store; `userId` stands for wherever your application keeps who is logged in. */
type Old = SessionData & { id?: string; userId?: string };

/** Gives every live session of express-session a new home, under the id that its browser holds. */
export async function moveSessions(from: Store, to: SessionStore): Promise<number> {
  const all = await new Promise<Old[] | Record<string, Old>>((resolve, reject) =>
    from.all!((error, sessions) => (error ? reject(error) : resolve(sessions ?? {}))),
  );
  let moved = 0;
  for (const [key, old] of Object.entries(all)) {
    const { id = key, cookie, userId, ...data } = old; // some stores give a list, with the id in each
    if (cookie.expires && new Date(cookie.expires) <= new Date()) continue;
    await to.create({ id, userId, data });
    moved++;
  }
  return moved;
}
