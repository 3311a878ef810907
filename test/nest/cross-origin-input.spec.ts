import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { All, Controller, HttpCode } from '@nestjs/common';
import { Session } from '../../src/index.js';
import { type AnySession, logs, type RunningApp, stackPerPlatform, start } from '../support/app.js';
import { sendRaw } from '../support/client.js';

/** How often the handler ran. */
let ran = 0;

@Controller()
class AskingController {
  @All('ask')
  @HttpCode(200)
  ask(@Session() session: AnySession) {
    ran++;
    return { userId: session.userId ?? null };
  }
}

const BIG = 'x'.repeat(8_192);
const OWN = 'Origin: http://shop.example';
const EVIL = 'Origin: https://evil.example';
const random = (bytes: number) => randomBytes(bytes).toString('base64url');

/** Header lines as they go over the wire, and what comes of a POST with them beside a live cookie. */
const rows: readonly (readonly [title: string, lines: readonly string[], status: 200 | 400 | 403])[] = [
  ['no word of where it comes from', [], 200],
  ['an unknown Sec-Fetch-Site', ['Sec-Fetch-Site: sibling'], 403],
  ['Sec-Fetch-Site in capitals', ['Sec-Fetch-Site: SAME-ORIGIN'], 403],
  ['two Sec-Fetch-Site, alike', ['Sec-Fetch-Site: same-origin', 'Sec-Fetch-Site: same-origin'], 403],
  ['two Sec-Fetch-Site, unlike', ['Sec-Fetch-Site: none', 'sec-fetch-site: cross-site'], 403],
  ['a list in Sec-Fetch-Site', ['Sec-Fetch-Site: same-origin, none'], 403],
  ['blanks around Sec-Fetch-Site, which are none of its value', ['Sec-Fetch-Site:  \t same-origin \t '], 200],
  ['an empty Sec-Fetch-Site and no Origin', ['Sec-Fetch-Site:'], 200],
  ['an empty Sec-Fetch-Site and the own Origin', ['Sec-Fetch-Site: ', OWN], 200],
  ['an empty Sec-Fetch-Site and a foreign Origin', ['Sec-Fetch-Site: ', EVIL], 403],
  ['8 KB of Sec-Fetch-Site', [`Sec-Fetch-Site: ${BIG}`], 403],
  ['a Sec-Fetch-Site that is no ASCII', ['Sec-Fetch-Site: säme-origin'], 403],
  ['the own Origin', [OWN], 200],
  ['an empty Origin', ['Origin:'], 200],
  ['an Origin of null', ['Origin: null'], 403],
  ['an Origin of null, of the same origin', ['Origin: null', 'Sec-Fetch-Site: same-origin'], 200],
  ['an Origin with a path', [`${OWN}/cart`], 403],
  ['an Origin with a slash', [`${OWN}/`], 403],
  ['an Origin without a scheme', ['Origin: shop.example'], 403],
  ['two Origins, alike', [OWN, OWN], 403],
  ['two Origins, one of them foreign', [OWN, EVIL], 403],
  ['two Origins in one', [`${OWN} https://evil.example`], 403],
  ['8 KB of Origin', [`Origin: https://${BIG}.example`], 403],
  ['an Origin that is no ASCII', ['Origin: http://shöp.example'], 403],
  ['an Origin with an escape', ['Origin: http://shop%2eexample'], 403],
  ['an Origin with a NUL', ['Origin: http://shop.example\0'], 400],
  ['a header of a method override', ['X-HTTP-Method-Override: GET', EVIL], 403],
  ['a doubled Host, the second one that of the Origin', ['Host: evil.example', EVIL], 403],
  ['an X-Forwarded-Host', ['X-Forwarded-Host: evil.example', EVIL], 403],
  ['an Authorization of another scheme', ['Authorization: Basic YTpi', EVIL], 403],
  ['an Authorization without a scheme', ['Authorization: Bearer', EVIL], 403],
  ['an empty Authorization', ['Authorization:', EVIL], 403],
  ['an Authorization of two values', ['Authorization: Bearer {id}, Bearer {id}', EVIL], 403],
  ['an Authorization with blanks inside', ['Authorization: Bearer {id} {id}', EVIL], 403],
  ['8 KB of Authorization', [`Authorization: Bearer ${BIG}`, EVIL], 403],
  ['an Authorization that is no ASCII', ['Authorization: Bearer {id}ü', EVIL], 403],
  ["an OAuth token's Authorization", [`Authorization: Bearer ya29.${random(64)}`, EVIL], 403],
  ['a transport that is none', ['X-Session-Transport: bearers', EVIL], 403],
  ["an id under the name of the answer's header", ['X-Session-Token: {id}', EVIL], 403],
];

describe.each(stackPerPlatform)('odd headers on the wire: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await start(stack, {
      controllers: [AskingController],
      session: { transport: ['cookie', 'bearer'] },
    });
  });
  afterAll(() => app.stop());
  beforeEach(() => {
    ran = 0;
    app.reset();
  });

  it.each(rows)('%s: %#', async (_case, lines, status) => {
    const { id } = await app.store.create({ userId: 'ada' });
    app.reset();
    const head = ['POST /ask HTTP/1.1', 'Host: shop.example', `Cookie: sid=${id}`, ...lines];
    const text = [...head, 'Content-Length: 0', 'Connection: close', '', ''].join('\r\n');
    const answer = await sendRaw(app.port, text.replaceAll('{id}', id));
    expect(answer).toContain(`HTTP/1.1 ${status} `);
    expect(ran).toBe(status === 200 ? 1 : 0);
    if (status === 200) return expect(answer).toContain('"userId":"ada"');
    expect(app.probe.names).toEqual([]);
    expect(app.eventTypes()).toEqual(status === 403 ? ['refused'] : []);
    // A log line is of one line, of printable ASCII, and holds no id.
    expect(logs.join('\n')).not.toContain(id.slice(id.indexOf('.')));
    // oxlint-disable-next-line no-control-regex
    for (const line of logs) expect(line).not.toMatch(/[\x00-\x1f\x7f-\x9f]|.{1000}/);
  });
});
