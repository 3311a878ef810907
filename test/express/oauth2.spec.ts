import { createHash } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import grant from 'grant';
import passportModule from 'passport';
import OAuth2Strategy from 'passport-oauth2';
import { useReqSession } from 'nest-sessions/express';
import { type RunningApp, stacks, start } from '../support/app.js';

/*
 * OAuth 2 against a small provider: passport-oauth2 with state and PKCE, and grant. Both keep in the session what they
 * compare when the browser comes back.
 */

/** A provider that everybody who asks is logged in at as ada. */
class Provider {
  readonly seen: URLSearchParams[] = [];
  private readonly server = http.createServer((request, response) => {
    const url = new URL(request.url!, 'http://provider');
    if (url.pathname === '/authorize') {
      const back = new URL(url.searchParams.get('redirect_uri')!);
      back.searchParams.set('code', url.searchParams.get('code_challenge') ?? 'none');
      back.searchParams.set('state', url.searchParams.get('state')!);
      return void response.writeHead(302, { location: String(back) }).end();
    }
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      const given = new URLSearchParams(body);
      this.seen.push(given);
      const challenge = createHash('sha256')
        .update(given.get('code_verifier') ?? '')
        .digest('base64url');
      const isProven = given.get('code') === 'none' || given.get('code') === challenge;
      response.writeHead(isProven ? 200 : 400, { 'content-type': 'application/json' });
      response.end(JSON.stringify(isProven ? { access_token: 'token', token_type: 'bearer' } : {}));
    });
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Where the browser is sent after it was here. */
  async visit(location: string): Promise<string> {
    const reply = await fetch(location, { redirect: 'manual' });
    return reply.headers.get('location')!;
  }

  stop(): Promise<unknown> {
    return new Promise((resolve) => this.server.close(resolve));
  }
}

describe.each(stacks)('OAuth 2 on %s', (_, stack) => {
  const provider = new Provider();
  let running: RunningApp;

  beforeAll(async () => {
    const url = await provider.start();
    const configure = (app: INestApplication): void => {
      const passport = new passportModule.Passport() as passportModule.Authenticator;
      const strategy = new OAuth2Strategy(
        {
          authorizationURL: `${url}/authorize`,
          tokenURL: `${url}/token`,
          clientID: 'client',
          clientSecret: 'secret',
          callbackURL: 'http://127.0.0.1/callback',
          state: true,
          pkce: true,
        } as never,
        (...args: unknown[]) => (args.at(-1) as (error: null, user: object) => void)(null, { id: 'ada' }),
      );
      passport.use('oauth2', strategy);
      passport.serializeUser((user, done) => done(null, (user as { id: string }).id));
      passport.deserializeUser((id, done) => done(null, { id } as never));
      useReqSession(app, { userId: (data) => data.passport?.user });
      app.use(passport.session());
      app.use('/login', passport.authenticate('oauth2'));
      app.use('/callback', passport.authenticate('oauth2'));
      app.use('/callback', (request: any, response: any) => {
        response.end(request.user.id);
      });
      app.use('/me', (request: any, response: any) => {
        response.end(JSON.stringify({ user: request.user ?? null, data: request.session }));
      });
      const config = {
        defaults: { origin: 'http://127.0.0.1', state: true, pkce: true, transport: 'session' },
        own: {
          authorize_url: `${url}/authorize`,
          access_url: `${url}/token`,
          oauth: 2,
          key: 'client',
          secret: 'secret',
          callback: '/granted',
        },
      };
      const platform = app.getHttpAdapter().getInstance();
      if (stack.platform === 'fastify') {
        platform.register((grant as any).fastify(config));
        platform.get('/granted', async (request: any) => request.session.grant.response);
      } else {
        app.use((grant as any).express(config));
        app.use('/granted', (request: any, response: any) => response.json(request.session.grant.response));
      }
    };
    running = await start(stack, { configure });
  });
  afterAll(() => Promise.all([running.stop(), provider.stop()]));
  beforeEach(() => running.reset());

  const pathOf = (location: string) => {
    const { pathname, search } = new URL(location, 'http://127.0.0.1');
    return pathname + search;
  };

  it('passport-oauth2 comes back with state and code verifier, and logs in', async () => {
    const client = running.client();
    const login = await client.get('/login');
    expect(login.status).toBe(302);
    const { sid } = client;
    const back = await client.get(pathOf(await provider.visit(login.headers.location!)));
    expect([back.status, back.text]).toEqual([200, 'ada']);
    expect(provider.seen.at(-1)!.get('code_verifier')).toMatch(/^.{43,}$/);
    expect(client.sid).not.toBe(sid);
    expect((await client.get('/me')).json()).toEqual({
      user: { id: 'ada' },
      data: { passport: { user: 'ada' } },
    });
    expect(await running.store.destroyByUser('ada')).toBe(1);
  });

  it('passport-oauth2 refuses the answer that another browser was sent away for', async () => {
    const victim = running.client();
    const login = await running.client().get('/login');
    await victim.get('/login');
    const reply = await victim.get(pathOf(await provider.visit(login.headers.location!)));
    expect(reply.status).toBe(403);
    expect((await victim.get('/me')).json().user).toBeNull();
  });

  it('grant comes back with what it keeps in the session', async () => {
    const client = running.client();
    const connect = await client.get('/connect/own');
    expect(connect.status).toBe(302);
    const callback = await client.get(pathOf(await provider.visit(connect.headers.location!)));
    expect([callback.status, callback.headers.location]).toEqual([302, '/granted']);
    expect((await client.get('/granted')).json()).toMatchObject({ access_token: 'token' });
  });
});
