import { describe, expect, it } from '@jest/globals';
import { Controller, Get, type Type, UseGuards, UseInterceptors } from '@nestjs/common';
import { Query, Resolver } from '@nestjs/graphql';
import { Test } from '@nestjs/testing';
import {
  CrossOriginGuard,
  Session,
  SessionGuard,
  SessionInterceptor,
  SessionLock,
  SessionModule,
  UseSession,
} from '../../src/index.js';
import type { AnySession } from '../support/app.js';

@Controller()
class Asking {
  @Get()
  get(@Session() session: AnySession) {
    return session.handle;
  }
}

@Controller()
class AskingForOne {
  @Get()
  get(@Session('n') n: number) {
    return n;
  }
}

@Controller()
@UseSession()
class Using {}

@Controller()
class Locked {
  @Get()
  @SessionLock()
  get() {}
}

@Controller()
@UseGuards(SessionGuard)
class Guarded {}

@Controller()
@UseGuards(CrossOriginGuard)
class Checked {}

@Controller()
@UseInterceptors(SessionInterceptor)
class Intercepted {}

@Resolver()
class Resolving {
  @Query(() => String)
  handle(@Session() session: AnySession) {
    return session.handle;
  }
}

describe('a testing module without SessionModule', () => {
  it.each<[string, Type[], Type[]]>([
    ['@Session()', [Asking], []],
    ["@Session('n')", [AskingForOne], []],
    ['@UseSession()', [Using], []],
    ['@SessionLock()', [Locked], []],
    ['SessionGuard', [Guarded], []],
    ['CrossOriginGuard', [Checked], []],
    ['SessionInterceptor', [Intercepted], []],
    ['@Session() in a resolver', [], [Resolving]],
  ])(
    'that has %s in it does not compile, and the error says what to import',
    async (_what, controllers, providers) => {
      const compile = (imports: any[]) =>
        Test.createTestingModule({ imports, controllers, providers }).compile();
      await expect(compile([])).rejects.toThrow(
        'SessionModule is not imported: add SessionModule.forRoot() to the imports of the root module, or of the ' +
          'testing module. With isGlobal: false, each module that uses sessions imports it.',
      );
      await (await compile([SessionModule.forRoot()])).close();
    },
  );
});
