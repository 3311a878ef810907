// With a codec that gives values back as they were, what is read has the types that are declared.
import type { Session } from 'nest-sessions';

declare module 'nest-sessions' {
  interface SessionTypes {
    codec: 'exact';
  }
}

declare const session: Session<{ at: Date; tags: Set<string> }>;

const at: Date | undefined = session.get('at');
const has: boolean | undefined = session.data.tags?.has('a');
session.data.at = new Date();
void session.tap((data) => (data.tags ??= new Set()).add('a'));
void [at, has];
// @ts-expect-error -- a Date is one value
session.get('at.getTime');
