import { Controller, Get } from '@nestjs/common';
import { Session } from 'nest-sessions';
import { VisitsService } from './visits.service.js';

@Controller()
export class VisitsController {
  constructor(private readonly visits: VisitsService) {}

  @Get()
  visit(@Session() session: Session<{ visits: number }>) {
    const visits = (session.get('visits') ?? 0) + 1;
    session.set('visits', visits);
    return `${visits} visits`;
  }

  @Get('visitors')
  async visitors() {
    return `${await this.visits.visitors()} visitors`;
  }
}
