import { Inject, Injectable } from '@nestjs/common';
import { type HealthIndicatorResult, HealthIndicatorService } from '@nestjs/terminus';
import { SessionStore } from '../index.js';

/**
 * Whether sessions can be read and written, for `@nestjs/terminus`: a provider of the module that has the health check.
 *
 * @example
 * @Get('ready')
 * @HealthCheck()
 * ready() {
 *   return this.health.check([() => this.sessions.isHealthy('sessions')]);
 * }
 */
@Injectable()
export class SessionHealthIndicator {
  constructor(
    @Inject(HealthIndicatorService) private readonly health: HealthIndicatorService,
    @Inject(SessionStore) private readonly store: SessionStore,
  ) {}

  /**
   * Up if the storage answers within a second, down if it does not. Why it does not is in the log, and in no answer.
   *
   * @param key names it in the answer
   */
  async isHealthy<const Key extends string = 'sessions'>(
    key: Key = 'sessions' as Key,
  ): Promise<HealthIndicatorResult<Key>> {
    const indicator = this.health.check(key);
    try {
      await this.store.ping();
    } catch {
      return indicator.down('The session storage does not answer.');
    }
    return indicator.up();
  }
}
