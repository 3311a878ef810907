import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Controller, Get, Header } from '@nestjs/common';

import { VIEWS } from './views.js';

/** This route asks for no session, so the library is not in its way at all. */
@Controller()
export class StyleController {
  private readonly css = readFileSync(join(VIEWS, 'style.css'), 'utf8');

  @Get('style.css')
  @Header('content-type', 'text/css; charset=utf-8')
  @Header('cache-control', 'max-age=60')
  style(): string {
    return this.css;
  }
}
