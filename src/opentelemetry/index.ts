export { SessionMetricsModule } from './session-metrics.module.js';
export type { SessionMetricsOptions } from './session-metrics.js';
