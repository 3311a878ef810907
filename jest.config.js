/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testTimeout: 20_000,
  setupFilesAfterEnv: ['<rootDir>/test/setup.ts'],
  // Two processes that start anew when they have grown: one that runs every file keeps the modules of all of them.
  maxWorkers: 2,
  workerIdleMemoryLimit: '1GB',
  roots: ['<rootDir>/test', '<rootDir>/sample'],
  testRegex: '\\.spec\\.ts$',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    '^nest-sessions$': '<rootDir>/src/index.ts',
    '^nest-sessions/express$': '<rootDir>/src/express/index.ts',
    '^nest-sessions/opentelemetry$': '<rootDir>/src/opentelemetry/index.ts',
    '^nest-sessions/redis$': '<rootDir>/src/storage/redis/index.ts',
    '^nest-sessions/sql$': '<rootDir>/src/storage/sql/index.ts',
    '^nest-sessions/terminus$': '<rootDir>/src/terminus/index.ts',
    '^nest-sessions/websockets$': '<rootDir>/src/websockets/index.ts',
    '^nest-sessions/testing$': '<rootDir>/src/testing/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
    // Mercurius requires a newer one, an ES module, which Node can and jest cannot.
    '^content-disposition$': '<rootDir>/node_modules/content-disposition',
  },
  transform: {
    '^.+\\.ts$': ['ts-jest', { useESM: true, tsconfig: '<rootDir>/tsconfig.json' }],
  },
};
