import { jest } from '@jest/globals';

/** Makes `Date` stand still, and nothing else: sockets, timers and promises go on. */
export function freezeTime(): void {
  jest.useFakeTimers({
    now: new Date('2026-01-01T12:00:00.000Z'),
    doNotFake: [
      'hrtime',
      'nextTick',
      'performance',
      'queueMicrotask',
      'setImmediate',
      'clearImmediate',
      'setInterval',
      'clearInterval',
      'setTimeout',
      'clearTimeout',
    ],
  });
}

export function passTime(milliseconds: number): void {
  jest.setSystemTime(Date.now() + milliseconds);
}

export function unfreezeTime(): void {
  jest.useRealTimers();
}
