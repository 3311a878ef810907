import { Authenticator } from '@fastify/passport';
import {
  Controller,
  type ExecutionContext,
  Get,
  HttpCode,
  Injectable,
  Module,
  Post,
  Req,
  UseGuards,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AuthGuard, PassportModule, PassportSerializer, PassportStrategy } from '@nestjs/passport';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { doubleCsrf } from 'csrf-csrf';
import { Session, SessionGuard, SessionModule, SessionStore } from 'nest-sessions';
import { useReqSession } from 'nest-sessions/express';
import passport from 'passport';
import { Strategy } from 'passport-local';
import type { Request } from 'express';
import { Users } from './users.js';

@Injectable()
export class LocalStrategy extends PassportStrategy(Strategy) {
  constructor(private readonly users: Users) {
    super();
  }

  /** What it returns is the user; without one, Passport answers 401. */
  async validate(name: string, password: string) {
    return (await this.users.verify(name, password)) ?? false;
  }
}

@Injectable()
export class LoginGuard extends AuthGuard('local') {
  override async canActivate(context: ExecutionContext) {
    const passes = (await super.canActivate(context)) as boolean;
    await super.logIn(context.switchToHttp().getRequest());
    return passes;
  }
}

/** What of a user is kept in the session, as `passport.user`. */
@Injectable()
export class UserSerializer extends PassportSerializer {
  serializeUser(user: { id: string }, done: (error: unknown, id: string) => void) {
    done(null, user.id);
  }

  deserializeUser(id: string, done: (error: unknown, user: { id: string }) => void) {
    done(null, { id });
  }
}

@Controller()
export class AuthController {
  @Post('login')
  @HttpCode(204)
  @UseGuards(LoginGuard)
  login() {}

  @Post('logout')
  @HttpCode(204)
  async logout(@Session() session: Session) {
    await session.logout();
  }

  @Get('me')
  @UseGuards(SessionGuard)
  me(@Req() request: Request, @Session() session: Session) {
    return { user: request.user, userId: session.userId, since: session.authenticatedAt };
  }
}

@Module({
  imports: [SessionModule.forRoot({ ttl: '1h' }), PassportModule.register({ session: true })],
  controllers: [AuthController],
  providers: [Users, LocalStrategy, UserSerializer],
})
export class AppModule {}

export async function bootstrap(port: number) {
  const app = await NestFactory.create(AppModule);
  useReqSession(app, { userId: (data) => data.passport?.user });
  app.use(passport.session());
  await app.listen(port);
  return app;
}

export async function onFastify(app: NestFastifyApplication) {
  const fastifyPassport = new Authenticator();
  fastifyPassport.registerUserSerializer(async (user: { id: string }) => user.id);
  fastifyPassport.registerUserDeserializer(async (id: string) => ({ id }));

  useReqSession(app, { userId: (data) => data.passport });
  await app.register(fastifyPassport.initialize());
  await app.register(fastifyPassport.secureSession());
}

export const { doubleCsrfProtection, generateCsrfToken } = doubleCsrf({
  getSecret: () => process.env['CSRF_SECRET']!,
  getSessionIdentifier: (request) => request.session.id,
});

@Controller()
export class FormController {
  constructor(private readonly store: SessionStore) {}

  @Get('form')
  async form(@Req() request: Request) {
    const session = await this.store.of(request);
    await session.start();
    return { token: request.csrfToken!() };
  }
}
