// Before an application declares SessionData, any key goes.
import type { InitialSessionData, Session, SessionStore } from 'nest-sessions';

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

// So in the data as a whole.
const any: string = session.data.anything;
session.data.other = [1];
delete session.data.other;
const plain: Record<string, unknown> = session.toJSON();
void session.tap((data) => ++data.count);
const initial: InitialSessionData = { anything: 1 };
void [any, plain, initial];
