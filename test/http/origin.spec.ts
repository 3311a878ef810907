import { describe, expect, it } from '@jest/globals';
import { normalOrigin, resolveCrossOrigin } from '../../src/http/origin.js';
import { resolveOptions } from '../../src/nest/session.options.js';

describe('an origin', () => {
  it.each([
    ['https://app.example.com', 'https://app.example.com'],
    ['HTTPS://App.Example.COM', 'https://app.example.com'],
    ['https://app.example.com:443', 'https://app.example.com'],
    ['http://localhost:80', 'http://localhost'],
    ['http://localhost:3000', 'http://localhost:3000'],
    ['https://app.example.com:8443', 'https://app.example.com:8443'],
    ['http://127.0.0.1:5173', 'http://127.0.0.1:5173'],
    ['http://[::1]:3000', 'http://[::1]:3000'],
    ['http://[0:0::1]', 'http://[::1]'],
    ['https://bücher.example', 'https://xn--bcher-kva.example'],
    ['https://my_app.example.com', 'https://my_app.example.com'],
    ['capacitor://localhost', 'capacitor://localhost'],
    ['Capacitor://LOCALHOST', 'capacitor://localhost'],
    ['ionic://localhost', 'ionic://localhost'],
    ['tauri://localhost', 'tauri://localhost'],
    [
      'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
      'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
    ],
    ['app://host:8080', 'app://host:8080'],
    ['app://host:443', 'app://host:443'],
  ])('%s is %s', (text, origin) => {
    expect(normalOrigin(text)).toBe(origin);
    expect(normalOrigin(origin)).toBe(origin);
  });

  it.each([
    ['nothing', ''],
    ['null, which any sandboxed page sends', 'null'],
    ['a host', 'app.example.com'],
    ['a host and a port', 'localhost:3000'],
    ['a relative one', '//app.example.com'],
    ['one with a "/" at its end', 'https://app.example.com/'],
    ['one with a path', 'https://app.example.com/shop'],
    ['one with a query', 'https://app.example.com?x'],
    ['one with a fragment', 'https://app.example.com#x'],
    ['one with a backslash', 'https://app.example.com\\x'],
    ['one with a user', 'https://user@app.example.com'],
    ['one with a password', 'https://user:hunter2@app.example.com'],
    ['a wildcard', '*'],
    ['one with a wildcard', 'https://*.example.com'],
    ['one with an escape', 'https://ex%61mple.com'],
    ['two', 'https://a.example https://b.example'],
    ['a list', 'https://a.example,b.example'],
    ['one with blanks', ' https://app.example.com'],
    ['one with a line end', 'https://app.example.com\n'],
    ['one with a tab', 'https://app.\texample.com'],
    ['one without a host', 'https://'],
    ['one with a port alone', 'app://:80'],
    ['one with a colon and no port', 'https://app.example.com:'],
    ['one with an impossible port', 'https://app.example.com:65536'],
    ['one with letters for a port', 'app://host:port'],
    ['a file', 'file://'],
    ['data', 'data:text/html,x'],
    ['one of other letters in a scheme that is not of the web', 'app://bücher'],
  ])('is not %s', (_title, text) => {
    expect(normalOrigin(text)).toBeUndefined();
  });

  it('is told apart from others by scheme, host and port', () => {
    const different = [
      'http://a.example',
      'https://a.example',
      'https://a.example:8443',
      'https://b.a.example',
    ];
    expect(new Set(different.map(normalOrigin)).size).toBe(4);
  });
});

describe('the option crossOrigin', () => {
  it.each([
    ['refuse', { mode: 'refuse', trustedOrigins: new Set() }],
    ['log', { mode: 'log', trustedOrigins: new Set() }],
    ['allow', { mode: 'allow', trustedOrigins: new Set() }],
    [{}, { mode: 'refuse', trustedOrigins: new Set() }],
    [{ mode: 'log' }, { mode: 'log', trustedOrigins: new Set() }],
    [
      { trustedOrigins: ['https://A.example:443', 'https://a.example', 'capacitor://localhost'] },
      { mode: 'refuse', trustedOrigins: new Set(['https://a.example', 'capacitor://localhost']) },
    ],
  ] as const)('%j is resolved (S61)', (option, settings) => {
    expect(resolveCrossOrigin(option)).toEqual(settings);
    expect(resolveOptions({ crossOrigin: option }).crossOrigin).toEqual(settings);
  });

  it.each([
    ['https://app.example.com/', /got "https:\/\/app.example.com\/": leave out the "\/" at its end$/],
    ['https://app.example.com/shop/', /got "https:\/\/app.example.com\/shop\/"$/],
    ['https://*.example.com', /without a wildcard; got "https:\/\/\*.example.com"$/],
    ['https://user:hunter2@app.example.com', /got one with a user or a password$/],
    ['https://app.example.com/?token=hunter2', /got "https:\/\/app.example.com\/\?…"$/],
    [7, /got 7 in the list$/],
  ])('names the origin that is wrong, and no secret in it: %p', (wrong, message) => {
    const trustedOrigins = ['https://a.example', wrong as string];
    const resolve = () => resolveOptions({ crossOrigin: { trustedOrigins } });
    expect(resolve).toThrow(/^SessionModule: crossOrigin.trustedOrigins must be a list of origins such as/);
    expect(resolve).toThrow(message);
    expect(resolve).not.toThrow(/hunter2/);
  });
});
