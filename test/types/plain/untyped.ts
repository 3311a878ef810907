// Before an application declares SessionData, any key goes.
import type { Session, SessionStore } from 'nest-sessions';

declare const session: Session;
declare const store: SessionStore;

session.set('anything', 1);
session.set('deep.down[0].there', { x: 1 });
const value: string = session.get('anything');
void value;
void store.create({ data: { anything: true } });
// @ts-expect-error -- a path is a string
session.get(1);
// @ts-expect-error -- a user is a string
void session.login(42);
