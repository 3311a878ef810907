import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { SessionStore } from 'nest-sessions';
import request from 'supertest';

import { createApp, type Platform } from '../../sample/app.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { FIREFOX, SAFARI, Visitor } from './visitor.js';

describe.each<Platform>(['express', 'fastify'])('the sample on %s', (platform) => {
  let app: INestApplication;
  let url: string;

  beforeAll(async () => {
    app = await createApp(platform);
    await app.listen(0);
    url = await app.getUrl();
  });
  afterAll(() => app.close());

  const visitor = (userAgent?: string) => new Visitor(url, userAgent);

  describe('home', () => {
    test('counts the visits of each visitor', async () => {
      const [one, other] = [visitor(), visitor()];
      expect(await one.get('/')).toContain('<strong id="visits">1</strong> time.');
      expect(await one.get('/')).toContain('<strong id="visits">2</strong> times.');
      expect(await other.get('/')).toContain('<strong id="visits">1</strong> time.');
    });

    test('forgets', async () => {
      const one = visitor();
      await one.get('/');
      await one.get('/');
      const { id } = one;
      expect(await one.post('/forget')).toContain('<strong id="visits">1</strong>');
      expect(one.id).not.toBe(id);
    });

    test('shows what the server remembers, and never the id', async () => {
      const one = visitor();
      await one.get('/');
      const html = await one.get('/');
      expect(html).toContain('&quot;visits&quot;: 2');
      expect(one.id).toBeTruthy();
      expect(html).not.toContain(one.id!);
    });
  });

  test('looking around sets no cookie', async () => {
    for (const path of ['/notes', '/shop', '/login', '/style.css', '/times.js']) {
      const response = await request(url).get(path).expect(200);
      expect(response.headers['set-cookie']).toBeUndefined();
    }
    expect(await visitor().get('/notes')).toContain('Looking around creates no session.');
  });

  test("the cookie is HttpOnly and SameSite=Lax; pages are not to be kept, and run nobody else's script", async () => {
    const { headers } = await request(url).get('/').expect(200);
    expect(headers['set-cookie']?.[0]).toMatch(/^sid=.*; Path=\/.*; HttpOnly/);
    expect(headers['set-cookie']?.[0]).toContain('SameSite=Lax');
    expect(headers['cache-control']).toContain('no-store');
    expect(headers['content-security-policy']).toContain(
      "default-src 'none'; style-src 'self'; script-src 'self';",
    );
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
  });

  describe('notes', () => {
    test('are added and removed', async () => {
      const one = visitor();
      await one.post('/notes/add', { text: 'flour' });
      await one.post('/notes/add', { text: '  butter ' });
      const html = await one.post('/notes/add', { text: 'sugar' });
      expect(notes(html)).toEqual(['flour', 'butter', 'sugar']);
      expect(notes(await one.post('/notes/remove', { index: '1' }))).toEqual(['flour', 'sugar']);
      expect(notes(await one.post('/notes/remove', { index: '0' }))).toEqual(['sugar']);
      expect(await one.post('/notes/remove', { index: '0' })).toContain('No notes yet.');
    });

    test.each(['2', '-1', '99999999999', '', 'x', ' 0', '0.0', '1e0', '__proto__'])(
      'an index of %p removes nothing',
      async (index) => {
        const one = visitor();
        await one.post('/notes/add', { text: 'flour' });
        await one.post('/notes/add', { text: 'sugar' });
        expect(notes(await one.post('/notes/remove', { index }))).toEqual(['flour', 'sugar']);
      },
    );

    test('are text, whatever is in them', async () => {
      const text = `<script>alert('1')</script>" onfocus="alert(2)&lt;`;
      const html = await visitor().post('/notes/add', { text });
      expect(html).not.toContain('<script>');
      expect(html).not.toContain('" onfocus="');
      expect(notes(html)).toEqual([
        '&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot; onfocus=&quot;alert(2)&amp;lt;',
      ]);
    });

    test('nothing, only blanks or a list is no note', async () => {
      const one = visitor();
      expect(await one.post('/notes/add')).toContain('There is nothing on that note.');
      expect(await one.post('/notes/add', { text: '   ' })).toContain('There is nothing on that note.');
      expect(await one.post('/notes/add', { text: ['a', 'b'] })).toContain('No notes yet.');
    });

    test('are short, and few', async () => {
      const one = visitor();
      let html = await one.post('/notes/add', { text: 'x'.repeat(5_000) });
      expect(notes(html)).toEqual(['x'.repeat(200)]);
      for (let i = 0; i < 20; i++) html = await one.post('/notes/add', { text: `note ${i}` });
      expect(notes(html)).toHaveLength(20);
      expect(html).toContain('20 notes are enough.');
      expect(await one.get('/notes')).not.toContain('20 notes are enough.');
    });
  });

  describe('login', () => {
    test('welcomes, once', async () => {
      const one = visitor();
      const html = await one.login();
      expect(html).toContain('Welcome, Ada Lovelace.');
      expect(html).toContain('<dd id="user-id">ada</dd>');
      expect(await one.get('/profile')).not.toContain('Welcome');
    });

    test.each([
      ['grace', 'compiler-1952', 'Grace Hopper'],
      ['Katherine ', 'orbit-1962', 'Katherine Johnson'],
    ])('knows %p too', async (user, password, name) => {
      expect(await visitor().login(user, password)).toContain(`Welcome, ${name}.`);
    });

    test.each([
      ['ada', 'wrong'],
      ['ada', ''],
      ['nobody', 'engine-1843'],
      ['__proto__', 'engine-1843'],
    ])('refuses %p with %p and fills the form in again, once', async (user, password) => {
      const one = visitor();
      const html = await one.login(user, password, { remember: 'yes' });
      expect(html).toContain('That user and password do not match.');
      expect(html).toContain(`name="user" value="${user}"`);
      expect(html).toContain('value="yes" checked');
      expect(html).not.toContain(`value="${password || 'no password'}"`);
      expect(all(html, /<input id="(\w+)"[^>]* aria-invalid="true" aria-describedby="login-error"/g)).toEqual(
        ['user', 'password'],
      );

      const again = await one.get('/login');
      expect(again).not.toContain('do not match');
      expect(again).not.toContain('aria-invalid');
      expect(again).toContain('name="user" value=""');
      expect(await one.get('/profile')).toBe('-> /login');
    });

    test('fills in text only', async () => {
      const html = await visitor().login('"><img src=x onerror=alert(1)>', 'x');
      expect(html).toContain('value="&quot;&gt;&lt;img src=x onerror=alert(1)&gt;"');
    });

    test('changes the id and keeps the basket; the old id is nobody', async () => {
      const one = visitor();
      await one.post('/shop/add', { sku: 'milk' });
      const before = one.id;
      await one.login();
      expect(one.id).not.toBe(before);
      expect(await one.get('/shop')).toContain('<td class="number" id="total">€0.95</td>');
      await request(url).get('/profile').set('cookie', `sid=${before}`).expect(303);
    });

    test('leads back to the page that asked for it', async () => {
      const one = visitor();
      expect(await one.get('/devices')).toBe('-> /login');
      expect(await one.get('/login')).toContain('Please log in first.');
      expect(await one.login()).toContain('<h1>Your devices</h1>');
      await one.post('/logout');
      expect(await one.login()).toContain('<h1>Ada Lovelace</h1>');
    });

    test('as somebody else starts with an empty session', async () => {
      const one = visitor();
      await one.login();
      await one.post('/notes/add', { text: 'a secret of Ada' });
      expect(await one.login('grace', 'compiler-1952')).toContain('Welcome, Grace Hopper.');
      expect(await one.get('/notes')).toContain('No notes yet.');
    });

    test.each([
      ['an hour', {}, 3_600],
      ['30 days', { remember: 'yes' }, 2_592_000],
    ])('lasts %s', async (_, more, seconds) => {
      const response = await request(url)
        .post('/login')
        .type('form')
        .send({ user: 'ada', password: 'engine-1843', ...more });
      expect(maxAge(response)).toBe(seconds);
    });

    test('lasts as long as the profile says, which shows what holds', async () => {
      const one = visitor();
      await one.login();
      expect(chosen(await one.get('/profile'))).toBe('3600');
      const stay = (seconds: string) => one.agent.post('/profile/stay').type('form').send({ seconds });
      expect(maxAge(await stay('2592000'))).toBe(2_592_000);
      expect(maxAge(await stay('600'))).toBe(600);
      const html = await one.get('/profile');
      expect(html).toContain('until nothing happens for 10 minutes');
      expect(chosen(html)).toBe('600');
      for (const seconds of ['99999999', 'toString', '-1', '']) {
        expect(chosen(await one.post('/profile/stay', { seconds }))).toBe('600');
      }
    });
  });

  describe('logout', () => {
    test('says good-bye, once, and the id is dead', async () => {
      const one = visitor();
      await one.login();
      const { id } = one;
      const html = await one.post('/logout');
      expect(html).toContain('Good-bye, Ada Lovelace.');
      expect(html).toContain('<a href="/login">Log in</a>');
      expect(await one.get('/')).not.toContain('Good-bye');
      expect(await one.get('/profile')).toBe('-> /login');
      await request(url).get('/profile').set('cookie', `sid=${id}`).expect(303);
    });

    test('of somebody who is not logged in is harmless', async () => {
      expect(await visitor().post('/logout')).toContain('You were not logged in.');
    });

    test('is no link', async () => {
      await request(url).get('/logout').expect(404).expect('content-type', /html/);
    });
  });

  describe('a change that asks for the password again', () => {
    beforeEach(freezeTime);
    afterEach(unfreezeTime);

    const login = async () => {
      const one = visitor();
      await one.login('grace', 'compiler-1952', { remember: 'yes' });
      return one;
    };

    test('does not, of whoever has just logged in', async () => {
      const one = await login();
      expect(await one.get('/profile/email')).toContain('value="grace@crumbs.example"');
      const html = await one.post('/profile/email', { email: 'grace@navy.example' });
      expect(html).toContain('We write to grace@navy.example from now on.');
      expect(html).toContain('<dd id="email">grace@navy.example');
      await one.post('/profile/email', { email: 'grace@crumbs.example' });
    });

    test('does, ten minutes later, and leads back; the login stays as long as before', async () => {
      const one = await login();
      await one.post('/notes/add', { text: 'flour' });
      passTime(600_000);
      expect(await one.get('/profile/email')).toBe('-> /confirm');
      const page = await one.get('/confirm');
      expect(page).toContain('<label for="password">Password of Grace Hopper</label>');
      expect(await one.post('/confirm', { password: 'engine-1843' })).toContain('That is not your password.');
      expect(await one.get('/profile/email')).toBe('-> /confirm');
      const { id } = one;
      expect(await one.post('/confirm', { password: 'compiler-1952' })).toContain('<h1>E-mail address</h1>');
      expect(one.id).not.toBe(id);
      expect(chosen(await one.get('/profile'))).toBe('2592000');
      expect(notes(await one.get('/notes'))).toEqual(['flour']);
    });

    test('changes nothing, if its form lay open for too long', async () => {
      const one = await login();
      passTime(600_000);
      expect(await one.post('/profile/email', { email: 'x@y.example' })).toContain('<h1>Is it you?</h1>');
      await one.post('/confirm', { password: 'compiler-1952' });
      expect(await one.get('/profile')).toContain('<dd id="email">grace@crumbs.example');
    });

    test('says what is wrong, and is for those who are logged in', async () => {
      const one = await login();
      const html = await one.post('/profile/email', { email: 'no address' });
      expect(html).toContain('That is no e-mail address.');
      expect(html).toContain('value="no address"');
      expect(await visitor().get('/profile/email')).toBe('-> /login');
      expect(await visitor().post('/confirm')).toContain('Please log in first.');
    });
  });

  describe('devices', () => {
    beforeEach(async () => {
      const store = app.get(SessionStore);
      for (const user of ['ada', 'grace', 'katherine']) await store.destroyByUser(user);
    });

    test('lists the own sessions and ends one', async () => {
      const [pc, phone] = [visitor(FIREFOX), visitor(SAFARI)];
      await pc.login('grace', 'compiler-1952');
      await phone.login('grace', 'compiler-1952');

      const html = await pc.get('/devices');
      expect(devices(html)).toEqual(['Firefox on Windows (this one)', 'Safari on iOS']);
      expect(devices(await phone.get('/devices'))).toEqual([
        'Safari on iOS (this one)',
        'Firefox on Windows',
      ]);

      const [handle] = handles(html);
      expect(phone.id).toContain(handle!);
      const after = await pc.post('/devices/end', { handle: handle! });
      expect(after).toContain('Safari on iOS is logged out.');
      expect(devices(after)).toEqual(['Firefox on Windows (this one)']);
      expect(after).toContain('You are logged in nowhere else.');
      expect(await phone.get('/devices')).toBe('-> /login');
      expect(await phone.get('/login')).toContain('You have been logged out.');
      expect(await phone.login('grace', 'compiler-1952')).toContain('<h1>Your devices</h1>');
    });

    test('tells two of a kind apart, in the order of their logins', async () => {
      const [first, second] = [visitor(SAFARI), visitor(SAFARI)];
      for (const one of [first, second]) await one.login('grace', 'compiler-1952');
      const html = await first.get('/devices');
      expect(devices(html)).toEqual(['Safari on iOS (this one)', 'Safari on iOS (2)']);
      expect(all(html, /<button [^>]*aria-labelledby="([^"]+)"/g)).toEqual(['end-1 name-1']);
      const [handle] = handles(html);
      expect(await first.post('/devices/end', { handle: handle! })).toContain(
        'Safari on iOS (2) is logged out.',
      );
    });

    test('have times that a browser can put into its own zone', async () => {
      const one = visitor();
      await one.login('grace', 'compiler-1952');
      const [iso, text] = all(await one.get('/devices'), /<time datetime="(.*?)" data-ago>/g);
      expect(Math.abs(Date.parse(iso!) - Date.now())).toBeLessThan(60_000);
      expect(text).toBe(iso);
    });

    test('ends all others', async () => {
      const [pc, phone, tablet] = [visitor(), visitor(SAFARI), visitor(SAFARI)];
      for (const one of [pc, phone, tablet]) await one.login('katherine', 'orbit-1962');
      const html = await pc.post('/devices/end-others');
      expect(html).toContain('2 other devices are logged out.');
      expect(devices(html)).toEqual(['Firefox on Windows (this one)']);
      expect(await phone.get('/profile')).toBe('-> /login');
      expect(await tablet.get('/profile')).toBe('-> /login');
    });

    test("ends nobody else's, nor this one", async () => {
      const [ada, grace] = [visitor(), visitor()];
      await ada.login();
      await grace.login('grace', 'compiler-1952');
      const [handle] = grace.id!.split('.');
      await ada.post('/devices/end', { handle: handle! });
      expect(await grace.get('/profile')).toContain('Grace Hopper');
      for (const nothing of [ada.id!.split('.')[0]!, ada.id!, '', 'x', '__proto__']) {
        await ada.post('/devices/end', { handle: nothing });
      }
      expect(await ada.get('/profile')).toContain('Ada Lovelace');
    });

    test('are for those who are logged in', async () => {
      expect(await visitor().post('/devices/end-others')).toContain('<h1>Log in</h1>');
      expect(await visitor().post('/devices/end', { handle: 'x' })).toContain('Please log in first.');
    });
  });

  describe('basket', () => {
    test('adds up', async () => {
      const one = visitor();
      await one.post('/shop/add', { sku: 'cookie' });
      await one.post('/shop/add', { sku: 'jar' });
      const html = await one.post('/shop/add', { sku: 'cookie' });
      expect(html).toContain('Chocolate chip cookie: in your basket.');
      expect(basket(html)).toEqual(['cookie x2', 'jar x1', '€16.90']);

      const more = await one.post('/shop/quantity', { sku: 'cookie', qty: '12' });
      expect(basket(more)).toEqual(['cookie x12', 'jar x1', '€28.90']);
      expect(more).toContain('aria-label="13 in the basket"');
      expect(more).toContain('Chocolate chip cookie: 12 in your basket.');
      const less = await one.post('/shop/remove', { sku: 'jar' });
      expect(basket(less)).toEqual(['cookie x12', '€14.40']);
      expect(less).toContain('Cookie jar: no longer in your basket.');

      const ordered = await one.post('/shop/order');
      expect(ordered).toContain('€14.40 worth of crumbs');
      expect(ordered).toContain('Your basket is empty.');
      expect(await one.post('/shop/order')).not.toContain('worth of crumbs');
    });

    test('loses none of ten clicks at once', async () => {
      const one = visitor();
      await one.post('/shop/add', { sku: 'milk' });
      await Promise.all(Array.from({ length: 10 }, () => one.post('/shop/add', { sku: 'milk' })));
      expect(basket(await one.get('/shop'))).toEqual(['milk x11', '€10.45']);
    });

    test.each(['0', '-3', '100', '1.5', 'x', '', '1e9'])('a quantity of %p changes nothing', async (qty) => {
      const one = visitor();
      await one.post('/shop/add', { sku: 'milk' });
      const html = await one.post('/shop/quantity', { sku: 'milk', qty });
      expect(basket(html)).toEqual(['milk x1', '€0.95']);
      expect(html).toContain('Glass of milk: choose a quantity from 1 to 99.');
    });

    test('what the shop does not have cannot be had', async () => {
      const one = visitor();
      const response = await one.agent.post('/shop/add').type('form').send({ sku: '__proto__' });
      expect(response.status).toBe(404);
      expect(response.text).toContain('The shop has no such thing.');
      await one.post('/shop/quantity', { sku: 'milk', qty: '2' });
      await one.post('/shop/remove', { sku: 'milk' });
      expect(await one.get('/shop')).toContain('Your basket is empty.');
    });
  });

  describe('forms of other sites', () => {
    test.each([
      ['sec-fetch-site', 'cross-site'],
      ['sec-fetch-site', 'same-site'],
      ['origin', 'https://evil.example'],
      ['origin', 'null'],
    ])('are refused: %s %s', async (header, value) => {
      const one = visitor();
      const response = await one.agent
        .post('/notes/add')
        .set(header, value)
        .type('form')
        .send({ text: 'gotcha' });
      expect(response.status).toBe(403);
      expect(response.text).toContain('This form was sent from another site.');
      expect(await one.get('/notes')).toContain('No notes yet.');
    });

    test.each([
      ['sec-fetch-site', () => 'same-origin'],
      ['origin', () => url],
    ])('the own ones are not: %s', async (header, value) => {
      await request(url).post('/notes/add').set(header, value()).type('form').send({ text: 'x' }).expect(303);
    });
  });

  describe('errors', () => {
    test('are pages', async () => {
      const { text, headers } = await request(url)
        .get('/<nowhere>')
        .expect(404)
        .expect('content-type', /html/);
      expect(text).toContain('<h1>404 Not Found</h1>');
      expect(text).not.toContain('<nowhere>');
      expect(text).toContain('<a href="/login">Log in</a>');
      expect(headers['set-cookie']).toBeUndefined();
    });

    test('keep the navigation, and leave the notice to the page after them', async () => {
      const one = visitor();
      await one.login();
      await one.post('/shop/add', { sku: 'milk' });
      await one.agent.post('/notes/add').type('form').send({ text: '' });
      const { text } = await one.agent.get('/nowhere').expect(404);
      expect(text).toContain('<a href="/profile">Ada Lovelace</a>');
      expect(text).toContain('aria-label="1 in the basket"');
      expect(text).not.toContain('role="status"');
      expect(await one.get('/notes')).toContain('There is nothing on that note.');
    });
  });
});

/** All first groups of a pattern. */
const all = (html: string, pattern: RegExp) => [...html.matchAll(pattern)].map((match) => match[1]);

const notes = (html: string) => all(html, /<li>\s*<span class="grow">(.*?)<\/span>/g);

const chosen = (html: string) => /<option value="(\d+)" selected>/.exec(html)?.[1];

const handles = (html: string) => all(html, /name="handle" value="(.*?)"/g);

const devices = (html: string) =>
  all(html, /<strong id="name-\d+">(.* on .*)<br>/g).map((line) =>
    line!.replace('</strong>', '').replace(/<span.*?>(.*)<\/span>/, '($1)'),
  );

const basket = (html: string) => [
  ...all(html, /name="sku" value="(\w+)">\s*<input type="number"/g).map((sku, i) => {
    return `${sku} x${all(html, /name="qty" value="(\d+)"/g)[i]}`;
  }),
  ...all(html, /id="total">(.*?)</g),
];

const maxAge = ({ headers }: request.Response) =>
  Number(/Max-Age=(\d+)/.exec(String(headers['set-cookie']))?.[1]);
