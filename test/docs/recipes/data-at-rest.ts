import { SessionModule } from 'nest-sessions';

export const encrypted = () => [
  SessionModule.forRoot({
    encryption: { keys: [process.env.SESSION_KEY!] },
  }),
];

export const withNewKey = () => [
  SessionModule.forRoot({
    encryption: { keys: [process.env.SESSION_KEY!, process.env.OLD_SESSION_KEY!] },
  }),
];

export const switchedOn = () => [
  SessionModule.forRoot({
    encryption: { keys: [process.env.SESSION_KEY!], readPlain: new Date('2026-12-01') },
  }),
];
