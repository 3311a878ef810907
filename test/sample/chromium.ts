import { existsSync } from 'node:fs';

import { describe, test } from '@jest/globals';
import { type Browser, chromium } from 'playwright-core';

import type { Platform } from '../../sample/app.js';

const CHROMIUM = [
  process.env.CHROMIUM_PATH,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => path && existsSync(path));

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Each launch has a fresh user data directory, each context of it a cookie jar of its own. */
export const launch = (): Promise<Browser> => chromium.launch({ executablePath: CHROMIUM, args: FLAGS });

/** Describes something in a real browser on both platforms; without one it fails in CI, and elsewhere is skipped. */
export function describeInChromium(what: string, drive: (platform: Platform) => void): void {
  if (CHROMIUM) {
    describe.each<Platform>(['express', 'fastify'])(`${what} on %s, in Chromium`, drive);
  } else if (process.env.CI) {
    test(`${what}, in Chromium`, () => {
      throw new Error('No Chromium found: install it, or set CHROMIUM_PATH.');
    });
  } else {
    const title = `${what}, in Chromium (skipped: none found; install it, or set CHROMIUM_PATH)`;
    test.skip(title, () => {});
    console.warn(title); // jest does not show a file of which it runs nothing
  }
}
