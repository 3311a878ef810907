import { Controller, Get, Module } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { SessionHealthIndicator } from 'nest-sessions/terminus';

@Controller()
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly sessions: SessionHealthIndicator,
  ) {}

  @Get('ready')
  @HealthCheck()
  ready() {
    return this.health.check([() => this.sessions.isHealthy('sessions')]);
  }
}

@Module({
  imports: [TerminusModule],
  controllers: [HealthController],
  providers: [SessionHealthIndicator],
})
export class HealthModule {}
