import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import ts from 'typescript';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const run = promisify(execFile);

/** A process of its own is alive as long as something in it is: the only judge of what keeps it so. */
describe('a process with sessions in it', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'nest-sessions-'));
    cpSync(join(root, 'package.json'), join(folder, 'package.json'));
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((each) => each.endsWith('.ts'))) {
      const { outputText } = ts.transpileModule(readFileSync(join(root, 'src', file), 'utf8'), {
        compilerOptions: {
          target: ts.ScriptTarget.ES2022,
          module: ts.ModuleKind.ESNext,
          experimentalDecorators: true,
          emitDecoratorMetadata: true,
        },
      });
      const target = join(folder, 'src', file.replace(/\.ts$/, '.js'));
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, outputText);
    }
  }, 30_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each<[title: string, imports: string, deed: string]>([
    ['an application context that is closed', 'sessions', 'await app.close();'],
    ['an application context that is never closed', 'sessions', ''],
    ['one that has used sessions and taps', 'sessions', 'await use();'],
    ['one with ScheduleModule that is closed', 'sessions, ScheduleModule.forRoot()', 'await app.close();'],
    ['one with ScheduleModule that is never closed', 'sessions, ScheduleModule.forRoot()', 'await use();'],
  ])(
    'ends by itself: %s',
    async (_title, imports, deed) => {
      const script = join(folder, `run-${Math.random().toString(36).slice(2)}.js`);
      writeFileSync(
        script,
        `import 'reflect-metadata';
         import { NestFactory } from '@nestjs/core';
         import { ScheduleModule } from '@nestjs/schedule';
         import { SessionModule, SessionStore } from './src/index.js';
         const sessions = SessionModule.forRoot({ secret: 'keyboard cat', purge: { cron: '*/1 * * * * *' } });
         const module = { module: class App {}, imports: [${imports}] };
         const app = await NestFactory.createApplicationContext(module, { logger: ['error'] });
         const store = app.get(SessionStore, { strict: false });
         async function use() {
           const { id } = await store.create({ data: { n: 1 } });
           await Promise.all([1, 2, 3].map(() => store.tap(id, (data) => void data.n++)));
           console.log('n is', (await store.load(id)).get('n'));
         }
         ${deed}
         console.log('done', typeof ScheduleModule);`,
      );
      // One that does not end by itself is killed, and that is an error here.
      const { stdout, stderr } = await run(process.execPath, [script], { timeout: 15_000 });
      expect(stderr).toBe('');
      expect(stdout).toContain('done');
      if (deed.includes('use')) expect(stdout).toContain('n is 4');
    },
    20_000,
  );
});
