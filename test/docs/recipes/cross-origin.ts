import {
  Body,
  Controller,
  ForbiddenException,
  type INestApplication,
  Module,
  Post,
  Redirect,
  Req,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import type { Request } from 'express';
import { AllowCrossOrigin, CrossOriginGuard, Session, SessionModule } from 'nest-sessions';

export const modules = () => {
  SessionModule.forRoot({ crossOrigin: { trustedOrigins: ['https://app.example.com'] } });
  SessionModule.forRoot({ crossOrigin: { mode: 'log', trustedOrigins: ['https://app.example.com'] } });
};

export function letRead(app: INestApplication) {
  app.enableCors({ origin: 'https://app.example.com', credentials: true });
}

interface FormPost {
  readonly code: string;
  readonly state: string;
}

/** A cookie of its own, short-lived and SameSite=None, says which login this browser began. */
export abstract class LoginStates {
  abstract isOurs(state: string, request: Request): boolean;
}

export abstract class Apple {
  abstract userOf(code: string): Promise<{ readonly id: string }>;
}

@Controller()
export class FormPostController {
  constructor(
    private readonly states: LoginStates,
    private readonly apple: Apple,
  ) {}

  @AllowCrossOrigin() // the identity provider's page sends this form
  @Post('login/apple')
  @Redirect('/account', 303)
  async arrive(@Session() session: Session, @Body() { code, state }: FormPost, @Req() request: Request) {
    if (!this.states.isOurs(state, request)) throw new ForbiddenException();
    const user = await this.apple.userOf(code);
    await session.login(user.id);
  }
}

@Module({ providers: [{ provide: APP_GUARD, useClass: CrossOriginGuard }] })
export class SecurityModule {}
