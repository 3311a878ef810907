import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  Controller,
  Get,
  type ExecutionContext,
  type INestApplication,
  Injectable,
  Post,
  Req,
  UseGuards,
} from '@nestjs/common';
import { AuthGuard, PassportModule, PassportSerializer, PassportStrategy } from '@nestjs/passport';
import passport from 'passport';
import { Strategy } from 'passport-local';
import { useReqSession } from 'nest-sessions/express';
import { Session, SessionGuard } from '../../src/index.js';
import { type AnySession, type RunningApp, stacks, start } from '../support/app.js';

/*
 * @nestjs/passport as its documentation has it: a guard that calls super.logIn(), a serializer, PassportModule with
 * `session: true`. The guard gets the platform's own request, so that it works on Fastify as well.
 */

@Injectable()
class LocalStrategy extends PassportStrategy(Strategy) {
  validate(name: string, password: string): object | undefined {
    return password === 'right' ? { name } : undefined;
  }
}

@Injectable()
class LocalGuard extends AuthGuard('local') {
  override async canActivate(context: ExecutionContext): Promise<boolean> {
    const isIn = (await super.canActivate(context)) as boolean;
    await super.logIn(context.switchToHttp().getRequest());
    return isIn;
  }
}

@Injectable()
class OnlyUsers extends AuthGuard('session') {}

@Injectable()
class Serializer extends PassportSerializer {
  serializeUser(user: { name: string }, done: (error: null, id: string) => void): void {
    done(null, user.name);
  }

  deserializeUser(name: string, done: (error: null, user: object) => void): void {
    done(null, { name });
  }
}

@Controller()
class AuthController {
  @Post('login')
  @UseGuards(LocalGuard)
  login(@Req() request: any, @Session() session: AnySession) {
    return { user: request.user, userId: session.userId };
  }

  @Post('logout')
  async logout(@Req() request: any) {
    // On Fastify, passport.session() is middleware, which gets Node's own request.
    const its = request.raw ?? request;
    await new Promise<void>((resolve, reject) =>
      its.logout((error: Error | undefined) => (error ? reject(error) : resolve())),
    );
    return {};
  }

  @Get('me')
  @UseGuards(SessionGuard)
  me(@Session() session: AnySession, @Req() request: any) {
    return { userId: session.userId, data: request.session, user: request.user };
  }

  @Get('any')
  any(@Req() request: any) {
    return { data: request.session, user: request.user ?? null };
  }
}

describe.each(stacks)('@nestjs/passport on %s', (_, stack) => {
  let running: RunningApp;

  beforeAll(async () => {
    running = await start(stack, {
      imports: [PassportModule.register({ session: true })],
      controllers: [AuthController],
      providers: [LocalStrategy, Serializer, OnlyUsers],
      configure(app: INestApplication) {
        useReqSession(app, { userId: (data) => data.passport?.user });
        app.use(passport.session());
      },
    });
  });
  afterAll(() => running.stop());
  beforeEach(() => running.reset());

  it('logs in, guards routes, and logs out', async () => {
    const client = running.client();
    expect((await client.get('/me')).status).toBe(401);
    expect((await client.post('/login', { body: { username: 'ada', password: 'wrong' } })).status).toBe(401);
    const reply = await client.post('/login', { body: { username: 'ada', password: 'right' } });
    expect([reply.status, reply.json()]).toEqual([201, { user: { name: 'ada' }, userId: 'ada' }]);
    const { sid } = client;
    expect((await client.get('/me')).json()).toMatchObject({
      userId: 'ada',
      data: { passport: { user: 'ada' } },
    });
    expect((await client.post('/logout')).status).toBe(201);
    expect((await client.get('/me')).status).toBe(401);
    expect(await running.store.load(sid)).toBeUndefined();
  });

  it('"log out everywhere" logs out of Passport', async () => {
    const client = running.client();
    await client.post('/login', { body: { username: 'bob', password: 'right' } });
    expect(await running.store.destroyByUser('bob')).toBe(1);
    expect((await client.get('/any')).json()).toEqual({ data: {}, user: null });
  });
});
