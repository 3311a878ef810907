import { createHmac } from 'node:crypto';
import { expressSessions, type ImportOptions } from '../../../src/express/index.js';
import { type AppOptions, type RunningApp, type Stack, start } from '../../support/app.js';
import { BasicController } from '../../support/basic.js';
import { type Client, isClearing, type Reply } from '../../support/client.js';
import { Gate } from '../../support/gate.js';
import { PlainStore } from '../connect/bad-store.js';

export const HOUR = 3_600_000;
export const SECRET = 'what express-session had';

/** A cookie's value as express-session writes it. */
export function signed(sid: string, secret: string = SECRET): string {
  const signature = createHmac('sha256', secret).update(sid).digest('base64').replace(/=+$/, '');
  return encodeURIComponent(`s:${sid}.${signature}`);
}

/** The store of the old servers; its calls can be made to wait or to fail. */
export class OldStore extends PlainStore {
  readonly gates: { get?: Gate; destroy?: Gate } = {};
  down: 'get' | 'destroy' | 'all' | undefined;

  put(
    sid: string,
    data: object,
    cookie: object = { expires: new Date(Date.now() + HOUR), originalMaxAge: HOUR },
  ): void {
    this.texts.set(sid, JSON.stringify({ cookie: { path: '/', httpOnly: true, ...cookie }, ...data }));
  }

  override get(...args: Parameters<PlainStore['get']>): unknown {
    return this.carryOut('get', args[1], () => super.get(...args));
  }

  override destroy(...args: Parameters<PlainStore['destroy']>): unknown {
    return this.carryOut('destroy', args[1], () => super.destroy(...args));
  }

  private carryOut(
    method: 'get' | 'destroy',
    callback: (error: Error) => void,
    work: () => unknown,
  ): unknown {
    const answer = () =>
      this.down === method || this.down === 'all' ? callback(new Error('connect ECONNREFUSED')) : work();
    const gate = this.gates[method];
    return gate ? void gate.pass().then(answer) : answer();
  }
}

export class Move {
  private constructor(
    readonly app: RunningApp,
    readonly old: OldStore,
  ) {}

  static async start(
    stack: Stack,
    options: Partial<ImportOptions> = {},
    session: object = {},
    more: Partial<AppOptions> = {},
  ): Promise<Move> {
    const old = new OldStore();
    const importFrom = expressSessions({
      secret: SECRET,
      store: old,
      userId: (data) => data.user,
      ...options,
    });
    const app = await start(stack, {
      controllers: [BasicController],
      session: { importFrom, ...session },
      ...more,
    });
    return new Move(app, old);
  }

  /** A browser that has this cookie of the old library. */
  browser(sid: string, secret?: string): Client {
    const client = this.app.client();
    client.jar.set('connect.sid', signed(sid, secret));
    return client;
  }
}

/** Whether an answer sets, or clears, a cookie. */
export const sets = (reply: Reply, name: string): boolean =>
  reply.setCookies.some((cookie) => cookie.name === name && !isClearing(cookie));
export const clears = (reply: Reply, name: string): boolean =>
  reply.setCookies.some((cookie) => cookie.name === name && isClearing(cookie));
