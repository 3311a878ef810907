import { expect, jest } from '@jest/globals';

// Servers that are killed and stalled, processes and a browser keep real time: what a busy machine delays is tried again,
// and the first failure is logged. Everything else has barriers and injected clocks, and one try.
if (/\/test\/(storage\/(redis|sql)|sample)\/|\/nest\/process\./.test(expect.getState().testPath ?? '')) {
  jest.retryTimes(2, { logErrorsBeforeRetry: true });
}
