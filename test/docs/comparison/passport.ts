import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import { Controller, Get, type INestApplication, Module, Req } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import expressSession from 'express-session';
import { SessionModule } from 'nest-sessions';
import { useReqSession } from 'nest-sessions/express';
import passportModule from 'passport';
import { isOurs, type Library } from './subjects.js';

const secret = 'a secret of more than thirty-two characters';

@Controller()
class LoginController {
  private readonly passport = new passportModule.Passport() as any;

  constructor() {
    this.passport.serializeUser((name: string, done: (error: null, id: string) => void) => done(null, name));
  }

  @Get('login')
  login(@Req() request: any): Promise<void> {
    return new Promise((resolve, reject) => {
      this.passport._sm.logIn(request, 'ada', (error: Error | undefined) =>
        error ? reject(error) : resolve(),
      );
    });
  }

  @Get('me')
  me(@Req() request: any): string {
    return request.session.passport.user;
  }
}

/** An application in which Passport logs in over the `req.session` of a library. */
export async function startForPassport(library: Library): Promise<INestApplication> {
  @Module({
    imports: isOurs(library) ? [SessionModule.forRoot({ purge: false })] : [],
    controllers: [LoginController],
  })
  class AppModule {}
  const onFastify = library.includes('astify');
  const adapter = onFastify ? new FastifyAdapter() : new ExpressAdapter();
  const app = await NestFactory.create(AppModule, adapter, { logger: false });
  if (isOurs(library)) useReqSession(app);
  else if (onFastify) {
    const fastify = app.getHttpAdapter().getInstance();
    await fastify.register(fastifyCookie);
    await fastify.register(fastifySession, { secret, cookie: { secure: false } });
  } else app.use(expressSession({ secret, resave: false, saveUninitialized: false }));
  await app.listen(0, '127.0.0.1');
  return app;
}
