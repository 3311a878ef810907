import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as common from '@nestjs/common';
import { transformSync } from '@swc/core';
import * as validator from 'class-validator';
import ts from 'typescript';
import * as sessions from '../../src/index.js';
import { type RunningApp, stackPerPlatform, start } from '../support/app.js';

const SOURCE = `
import { Body, Controller, Get, Post } from '@nestjs/common';
import { IsInt } from 'class-validator';
import { Session } from 'nest-sessions';

class Order {
  @IsInt()
  count!: number;
}

@Controller()
export class ShopController {
  @Get('count')
  count(@Session() session: Session<{ n: number }>) {
    session.set('n', (session.get('n') ?? 0) + 1);
    return { n: session.get('n'), isNew: session.isNew };
  }

  @Get('value')
  value(@Session('n') n: number, @Session('name') name: string) {
    return { n, name };
  }

  @Post('order')
  order(@Body() order: Order, @Session() session: Session, @Session('n') n: number) {
    session.set('order', order);
    return { order, isOrder: order instanceof Order, n };
  }
}
`;

/** What a compiler makes of the source, as a module of CommonJS. */
const compilers: readonly (readonly [name: string, compile: (source: string) => string])[] = [
  // With a whole program before it, tsc sees that the type is an alias.
  ['tsc', (source) => typescript(source.replaceAll(/: Session(<.+?>)?(?=[,)])/g, ': object'))],
  ['tsc, a file at a time', typescript],
  [
    'SWC, and oxc writes the same',
    (source) =>
      transformSync(source, {
        filename: 'shop.controller.ts',
        swcrc: false,
        module: { type: 'commonjs' },
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
        },
      }).code,
  ],
];

function typescript(source: string): string {
  return ts.transpileModule(source, {
    compilerOptions: {
      module: ts.ModuleKind.CommonJS,
      target: ts.ScriptTarget.ES2022,
      experimentalDecorators: true,
      emitDecoratorMetadata: true,
    },
  }).outputText;
}

function controllerOf(code: string): common.Type {
  const modules: Record<string, unknown> = {
    '@nestjs/common': common,
    'class-validator': validator,
    'nest-sessions': sessions,
  };
  const exported: { ShopController?: common.Type } = {};
  // oxlint-disable-next-line no-new-func
  new Function('exports', 'require', code)(exported, (name: string) => modules[name]);
  return exported.ShopController!;
}

describe.each(compilers)('parameters beside a ValidationPipe for all, compiled by %s', (_name, compile) => {
  describe.each(stackPerPlatform)('%s', (_title, stack) => {
    let app: RunningApp;

    beforeAll(async () => {
      app = await start(stack, {
        controllers: [controllerOf(compile(SOURCE))],
        configure: (nest) =>
          nest.useGlobalPipes(
            new common.ValidationPipe({
              transform: true,
              whitelist: true,
              forbidNonWhitelisted: true,
              forbidUnknownValues: true,
              validateCustomDecorators: true,
            }),
          ),
      });
    });
    afterAll(() => app.stop());

    it('@Session() gives the session itself', async () => {
      const client = app.client();
      expect((await client.get('/count')).json()).toEqual({ n: 1, isNew: true });
      expect((await client.get('/count')).json()).toEqual({ n: 2, isNew: false });
      expect(app.probe.value(client.handle, 'n')).toBe(2);
    });

    it('@Session(key) gives the value as it is', async () => {
      const client = app.client();
      client.jar.set('sid', (await app.store.create({ data: { n: 12, name: 'ada' } })).id);
      expect((await client.get('/value')).json()).toEqual({ n: 12, name: 'ada' });
    });

    it('a body beside it is validated as ever', async () => {
      const client = app.client();
      await client.get('/count');
      const ordered = await client.post('/order', { body: { count: 3 } });
      expect(ordered.json()).toEqual({ order: { count: 3 }, isOrder: true, n: 1 });
      expect(app.probe.value(client.handle, 'order')).toEqual({ count: 3 });
      expect((await client.post('/order', { body: { count: 'three' } })).status).toBe(400);
    });
  });
});
