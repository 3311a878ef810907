import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Controller, Get, Header } from '@nestjs/common';

import { VIEWS } from './views.js';

const read = (name: string) => readFileSync(join(VIEWS, name), 'utf8');

/** These routes ask for no session, so the library is not in their way at all. */
@Controller()
export class AssetsController {
  private readonly css = read('style.css');
  private readonly times = read('times.js');
  private readonly pad = read('pad.js');

  @Get('style.css')
  @Header('content-type', 'text/css; charset=utf-8')
  @Header('cache-control', 'max-age=60')
  style(): string {
    return this.css;
  }

  @Get('times.js')
  @Header('content-type', 'text/javascript; charset=utf-8')
  @Header('cache-control', 'max-age=60')
  script(): string {
    return this.times;
  }

  @Get('pad.js')
  @Header('content-type', 'text/javascript; charset=utf-8')
  @Header('cache-control', 'max-age=60')
  padScript(): string {
    return this.pad;
  }
}
