import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';

import { createApp, type Platform } from '../../sample/app.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { describeInChromium, launch } from './chromium.js';

jest.setTimeout(30_000);

describeInChromium('the sample', drive);

function drive(platform: Platform) {
  let app: INestApplication;
  let url: string;
  let browser: Browser;
  let contexts: BrowserContext[];

  beforeAll(async () => {
    app = await createApp(platform);
    await app.listen(0);
    url = `http://localhost:${new URL(await app.getUrl()).port}`;
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await app?.close();
  });

  let complaints: string[];
  beforeEach(() => {
    contexts = [];
    complaints = [];
  });
  afterEach(async () => {
    await Promise.all(contexts.map((context) => context.close()));
    // Nothing that a page may not load or run, and no dialog opened by what somebody typed in.
    expect(complaints).toEqual([]);
  });

  /** A person at a browser: clicks, types and reads what is on the page. */
  async function person(options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ baseURL: url, ...options });
    contexts.push(context);
    context.setDefaultTimeout(10_000);
    const page = await context.newPage();
    page.on('console', (message) => {
      // Chromium's word that a click was quicker than the page's autofocus.
      if (!message.text().startsWith('Autofocus processing was blocked')) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('dialog', (dialog) => {
      complaints.push(dialog.message());
      void dialog.dismiss();
    });
    return page;
  }

  async function login(page: Page, user = 'ada', password = 'engine-1843') {
    await page.goto('/login');
    await page.getByLabel('User name').fill(user);
    await page.getByLabel('Password').fill(password);
    await click(page, 'Log in');
  }

  // Every click here leads to a page; the next look is at that page.
  const clickOn = (page: Page, target: Locator) => Promise.all([page.waitForEvent('load'), target.click()]);
  const click = (page: Page, name: string) => clickOn(page, page.getByRole('button', { name, exact: true }));
  const follow = (page: Page, name: string) =>
    clickOn(page, page.getByRole('navigation').getByRole('link', { name }));
  const heading = (page: Page) => page.getByRole('heading', { level: 1 }).innerText();
  const notice = (page: Page) => page.getByRole('status').innerText();
  const noNotice = async (page: Page) => (await page.getByRole('status').count()) === 0;
  const sid = async (page: Page) => (await page.context().cookies()).find(({ name }) => name === 'sid');

  test('counts visits, and forgets', async () => {
    const page = await person();
    await page.goto('/');
    expect(await heading(page)).toBe('Hello, stranger.');
    await page.reload();
    await follow(page, 'Crumbs');
    expect(await page.locator('#visits').innerText()).toBe('3');
    expect(await sid(page)).toMatchObject({ httpOnly: true, sameSite: 'Lax', path: '/', secure: false });

    await page.getByText('What the server remembers about you').click();
    const data = page.getByRole('region', { name: 'The data of your session' });
    expect(await data.innerText()).toContain('"visits": 3');
    await page.keyboard.press('Tab');
    expect(await page.locator('pre:focus').count()).toBe(1);

    await click(page, 'Forget me');
    expect(await page.locator('#visits').innerText()).toBe('1');
  });

  test('keeps notes, without client JavaScript', async () => {
    const page = await person({ javaScriptEnabled: false });
    await page.goto('/notes');
    expect(await sid(page)).toBeUndefined();
    const list = page.locator('#notes .grow');
    for (const text of ['flour', `<script>alert(1)</script>`, 'sugar']) {
      await page.getByLabel('New note').fill(text);
      await click(page, 'Add');
    }
    expect(await list.allInnerTexts()).toEqual(['flour', '<script>alert(1)</script>', 'sugar']);
    await click(page, 'Remove flour');
    expect(await list.allInnerTexts()).toEqual(['<script>alert(1)</script>', 'sugar']);
  });

  test('shows as text what looks like code', async () => {
    const page = await person();
    await page.goto('/notes');
    const text = `"><img src=x onerror=alert(1)><script>alert(2)</script>`;
    await page.getByLabel('New note').fill(text);
    await click(page, 'Add');
    expect(await page.locator('#notes .grow').innerText()).toBe(text);
    await page.goto('/login');
    await login(page, text, 'x');
    expect(await page.getByLabel('User name').inputValue()).toBe(text);
  });

  test('reloading after a form sends nothing again', async () => {
    const page = await person();
    await page.goto('/notes');
    await page.getByLabel('New note').fill('once');
    await click(page, 'Add');
    await page.reload();
    await page.reload();
    expect(await page.locator('#notes .grow').allInnerTexts()).toEqual(['once']);
  });

  test('logs in at the second try, is remembered, and says good-bye', async () => {
    const page = await person();
    await page.goto('/');
    await clickOn(page, page.getByRole('link', { name: 'Account' }));
    expect(await notice(page)).toBe('Please log in first.');
    const before = await sid(page);

    await page.getByLabel('User name').fill('grace');
    await page.getByLabel('Password').fill('cobol');
    await page.getByLabel('Remember me').check();
    await click(page, 'Log in');
    expect(await page.getByRole('alert').innerText()).toBe('That user and password do not match.');
    expect(await page.getByLabel('User name').inputValue()).toBe('grace');
    expect(await page.getByLabel('Password').inputValue()).toBe('');
    expect(await page.getByLabel('Password').getAttribute('aria-invalid')).toBe('true');
    expect(await page.getByLabel('Remember me').isChecked()).toBe(true);

    await page.getByLabel('Password').fill('compiler-1952');
    await Promise.all([page.waitForEvent('load'), page.keyboard.press('Enter')]);
    expect(await notice(page)).toBe('Welcome, Grace Hopper.');
    expect(await heading(page)).toBe('Grace Hopper');
    const after = await sid(page);
    expect(after!.value).not.toBe(before!.value);
    expect(after!.expires - Date.now() / 1000).toBeGreaterThan(29 * 86_400);

    await page.getByLabel('Log me out after idling for').selectOption('10 minutes');
    await click(page, 'Save');
    expect(await notice(page)).toContain('10 minutes');
    expect(await page.getByLabel('Log me out after idling for').inputValue()).toBe('600');
    expect((await sid(page))!.expires - Date.now() / 1000).toBeLessThan(601);

    await click(page, 'Log out');
    expect(await notice(page)).toBe('Good-bye, Grace Hopper.');
    await page.reload();
    expect(await noNotice(page)).toBe(true);
    await page.goto('/profile');
    expect(await heading(page)).toBe('Log in');
  });

  test('shows nothing private after logout, not even with the Back button', async () => {
    const page = await person();
    await login(page);
    await follow(page, 'Ada Lovelace');
    await click(page, 'Log out');
    await page.goBack();
    expect(await heading(page)).toBe('Log in');
  });

  test('asks for the password again before the address is changed, once the login is old', async () => {
    const page = await person();
    await login(page, 'grace', 'compiler-1952');
    const loggedIn = Date.now();
    freezeTime();
    try {
      passTime(loggedIn - Date.now() + 600_000);
      await clickOn(page, page.getByRole('link', { name: 'Change it' }));
      expect(await heading(page)).toBe('Is it you?');
      await page.getByLabel('Password of Grace Hopper').fill('engine-1843');
      await click(page, 'Go on');
      expect(await page.getByRole('alert').innerText()).toBe('That is not your password.');
      await page.getByLabel('Password of Grace Hopper').fill('compiler-1952');
      await click(page, 'Go on');
      expect(await heading(page)).toBe('E-mail address');
      await page.getByLabel('Where we write to you').fill('grace@navy.example');
      await click(page, 'Save');
      expect(await notice(page)).toBe('We write to grace@navy.example from now on.');
    } finally {
      unfreezeTime();
    }
  });

  test('ends one device, then all others', async () => {
    const [pc, phone, tablet] = [await person(), await person(), await person()];
    for (const page of [pc, phone, tablet]) await login(page, 'katherine', 'orbit-1962');
    await follow(pc, 'Devices');
    const rows = pc.locator('#devices li');
    expect(await rows.count()).toBe(3);
    expect(await rows.filter({ hasText: 'this one' }).getByRole('button').count()).toBe(0);

    await click(pc, 'Log out Chrome on Linux (2)');
    expect(await notice(pc)).toBe('Chrome on Linux (2) is logged out.');
    expect(await rows.count()).toBe(2);
    await click(pc, 'Log out all other devices');
    expect(await notice(pc)).toBe('One other device is logged out.');
    expect(await rows.count()).toBe(1);

    for (const page of [phone, tablet]) {
      await follow(page, 'Devices');
      expect(await heading(page)).toBe('Log in');
    }
    await pc.reload();
    expect(await heading(pc)).toBe('Your devices');
  });

  test("shows times in the visitor's zone, and how long ago", async () => {
    const page = await person({ timezoneId: 'Asia/Tokyo' });
    await page.clock.install();
    await login(page);
    const iso = (await page.locator('#ends time').getAttribute('datetime'))!;
    const options = { dateStyle: 'medium', timeStyle: 'short', timeZone: 'Asia/Tokyo' } as const;
    expect(await page.locator('#ends time').innerText()).toBe(
      new Intl.DateTimeFormat('en', options).format(new Date(iso)),
    );

    await follow(page, 'Devices');
    const first = page.locator('#devices time').first();
    expect(await first.innerText()).toBe('just now');
    await page.clock.fastForward('02:30');
    expect(await first.innerText()).toBe('2 minutes ago');
  });

  test('keeps its navigation in order on a narrow screen, and on a page that is not there', async () => {
    const page = await person({ viewport: { width: 390, height: 844 } });
    const missing = new Promise((resolve) => page.once('console', resolve)); // Chromium's word on the 404
    await page.goto('/nowhere');
    await missing;
    complaints.length = 0;
    const [brand, account] = await Promise.all(
      ['Crumbs', 'Log in'].map((name) => page.getByRole('link', { name, exact: true }).boundingBox()),
    );
    expect(Math.abs(brand!.y + brand!.height / 2 - (account!.y + account!.height / 2))).toBeLessThan(4);
    expect(account!.x + account!.width).toBeGreaterThan(350);
    await follow(page, 'Notes');
    expect(await heading(page)).toBe('Notes');
  });

  test('fills a basket, which goes along into the account', async () => {
    const page = await person();
    await page.goto('/shop');
    await click(page, 'Add to basket: Glass of milk');
    await click(page, 'Add to basket: Cookie jar');
    await click(page, 'Add to basket: Glass of milk');
    expect(await page.locator('#total').innerText()).toBe('€16.40');

    await page.getByLabel('Quantity of Glass of milk', { exact: true }).fill('10');
    await click(page, 'Change quantity of Glass of milk');
    expect(await notice(page)).toBe('Glass of milk: 10 in your basket.');
    expect(await page.locator('#total').innerText()).toBe('€24.00');
    await click(page, 'Remove Cookie jar');
    expect(await page.locator('#total').innerText()).toBe('€9.50');

    await login(page);
    await follow(page, 'Shop');
    expect(await page.locator('#total').innerText()).toBe('€9.50');
    await click(page, 'Order');
    expect(await notice(page)).toBe('Thank you! €9.50 worth of crumbs are on their way.');
    expect(await page.locator('#basket').count()).toBe(0);
  });

  test('two tabs of one visitor share the session and lose no click', async () => {
    const page = await person();
    await page.goto('/shop');
    await click(page, 'Add to basket: Glass of milk');
    const tab = await page.context().newPage();
    await tab.goto('/shop');
    await Promise.all([
      click(page, 'Add to basket: Glass of milk'),
      click(tab, 'Add to basket: Glass of milk'),
    ]);
    await Promise.all([page.reload(), tab.reload()]);
    expect(await page.locator('#total').innerText()).toBe('€2.85');
    expect(await tab.locator('#total').innerText()).toBe('€2.85');
  });
}
