import { type DynamicModule, Module, type ModuleMetadata } from '@nestjs/common';
import { Exchanges } from '../http/exchanges.js';
import { SessionMetrics, type SessionMetricsOptions } from './session-metrics.js';

const OPTIONS = Symbol('SessionMetricsModule options');

/**
 * Metrics of sessions, for the OpenTelemetry that the application has set up: imported once, beside `SessionModule`, as
 * it is or with `forRoot()`.
 */
@Module({
  providers: [
    {
      provide: SessionMetrics,
      inject: [Exchanges, { token: OPTIONS, optional: true }],
      useFactory: (exchanges: Exchanges, options: SessionMetricsOptions = {}) =>
        new SessionMetrics(exchanges, options),
    },
  ],
})
export class SessionMetricsModule {
  /**
   * @param options.records whether a gauge tells how many records there are; default false
   * @param options.imports where `SessionModule` is not global: the one whose sessions are measured
   */
  static forRoot({
    imports = [],
    ...options
  }: SessionMetricsOptions & Pick<ModuleMetadata, 'imports'> = {}): DynamicModule {
    return { module: SessionMetricsModule, imports, providers: [{ provide: OPTIONS, useValue: options }] };
  }
}
