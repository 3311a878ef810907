/** What is measured, row by row, and what it is to reach. */
import { connect } from 'node:net';
import { Child, cores } from './processes.js';
import { measureCells } from './http.js';
import { sockets } from './socket-rows.js';
import * as redisRows from './redis-rows.js';
import { REDIS_PREFIX, REDIS_URL } from './redis.js';
import * as sql from './sql-rows.js';
import * as sqlTables from './sql-tables.js';
import { differences, median, quotients, spread } from './stats.js';

const cellsOf = (variants, routes) =>
  routes.flatMap((route) => variants.map((variant) => ({ name: `${variant} ${route}`, variant, route })));

const micros = (value) => `${value.toFixed(value < 10 ? 2 : 1)} µs`;

/** CPU that a variant adds to the bare application, over what its peer adds. */
function addedRow(what, results, { bare, ours, peer, route, target }) {
  const of = (variant) => differences(results[`${variant} ${route}`], results[`${bare} ${route}`]);
  return quotientRow(what, of(ours), of(peer), target, (value) => `+ ${micros(value)}`);
}

function quotientRow(what, ours, peer, target, show = micros) {
  const ratio = median(ours) / median(peer);
  return {
    what,
    ours: show(median(ours)),
    peer: show(median(peer)),
    ratio,
    spread: spread(quotients(ours, peer)),
    target,
  };
}

const scale = (quick, full, short) => ({ ...full, ...(quick && short) });

async function withStores(execArgv, work) {
  const child = await Child.start('stores.js', [], { core: cores.server, execArgv });
  try {
    return await work(child);
  } finally {
    await child.stop();
  }
}

const ROOMY = ['--max-old-space-size=8192', '--expose-gc'];

async function fastify(quick) {
  const bare = 'fastify';
  const ours = 'fastify+ours';
  const peer = 'fastify+fastify-session';
  const unrolled = 'fastify+fastify-session-unrolled';
  const all = quick ? [bare, ours, peer] : [bare, ours, peer, unrolled, 'fastify+interceptor'];
  const results = await measureCells(
    cellsOf(all, ['write', 'read']),
    scale(
      quick,
      { generations: 4, rounds: 8, requests: 3000, warmUp: 10_000 },
      { generations: 1, rounds: 6, requests: 1500, warmUp: 4000 },
    ),
  );
  const row = (what, route, versus, target, who = ours) =>
    addedRow(what, results, { bare, ours: who, peer: versus, route, target });
  const rows = [
    row('Fastify, read and write, added to bare ÷ @fastify/session', 'write', peer, 0.3),
    row('Fastify, read only, added to bare ÷ @fastify/session', 'read', peer, 0.25),
  ];
  if (quick) return rows;
  return [
    ...rows,
    row('  read and write ÷ @fastify/session, rolling: false', 'write', unrolled),
    row('  read only ÷ @fastify/session, rolling: false', 'read', unrolled),
    row(
      '  an interceptor that does nothing, read only ÷ @fastify/session',
      'read',
      peer,
      undefined,
      'fastify+interceptor',
    ),
  ];
}

async function express(quick) {
  const bare = 'express';
  const ours = 'express+ours';
  const peer = 'express+express-session';
  const all = [
    bare,
    ours,
    peer,
    'express+express-session-rolling',
    'express+memorystore',
    'express+interceptor',
  ];
  const results = await measureCells(
    cellsOf(quick ? all.slice(0, 3) : all, ['write', 'read']),
    scale(
      quick,
      { generations: 4, rounds: 8, requests: 2000, warmUp: 8000 },
      { generations: 1, rounds: 5, requests: 1500, warmUp: 4000 },
    ),
  );
  const row = (what, route, versus, target, who = ours) =>
    addedRow(what, results, { bare, ours: who, peer: versus, route, target });
  const rows = [
    row('Express, read and write, added to bare ÷ express-session MemoryStore', 'write', peer, 0.3),
    row('Express, read only, added to bare ÷ express-session MemoryStore', 'read', peer, 0.25),
  ];
  if (quick) return rows;
  return [
    ...rows,
    row('  read and write ÷ the same, rolling: true', 'write', 'express+express-session-rolling'),
    row('  read only ÷ the same, rolling: true', 'read', 'express+express-session-rolling'),
    row('  read and write ÷ express-session with memorystore', 'write', 'express+memorystore'),
    row('  read only ÷ express-session with memorystore', 'read', 'express+memorystore'),
    row(
      '  an interceptor that does nothing, read only ÷ MemoryStore',
      'read',
      peer,
      undefined,
      'express+interceptor',
    ),
  ];
}

/** The same handlers with req.session, whoever is behind it. */
async function reqSession(quick) {
  const bare = 'express';
  const ours = 'express+req-session';
  const bound = 'express+req-session-user';
  const peer = 'express+express-session';
  const results = await measureCells(
    cellsOf(quick ? [bare, ours, peer] : [bare, ours, bound, peer], ['write', 'read']),
    scale(
      quick,
      { generations: 4, rounds: 8, requests: 2000, warmUp: 8000 },
      { generations: 1, rounds: 5, requests: 1500, warmUp: 4000 },
    ),
  );
  const row = (what, route, target, who = ours) =>
    addedRow(what, results, { bare, ours: who, peer, route, target });
  const rows = [
    row('req.session, read and write, added to bare ÷ express-session MemoryStore', 'write', 0.5),
    row('req.session, read only, added to bare ÷ express-session MemoryStore', 'read', 0.5),
  ];
  if (quick) return rows;
  return [...rows, row('  read only, with userId', 'read', undefined, bound)];
}

async function plain(quick) {
  const rows = [];
  for (const [platform, name, requests] of [
    ['fastify', 'Fastify', 5000],
    ['express', 'Express', 1500],
  ]) {
    const results = await measureCells(
      cellsOf([platform, `${platform}+ours`], ['plain']),
      scale(
        quick,
        { generations: 4, rounds: 10, requests, warmUp: 8000 },
        { generations: 1, rounds: 6, requests: requests / 2, warmUp: 3000 },
      ),
    );
    rows.push(
      quotientRow(
        `${name}, a route that asks for no session: with the module ÷ without`,
        results[`${platform}+ours plain`],
        results[`${platform} plain`],
        1.03,
      ),
    );
  }
  return rows;
}

/** Commands that Redis has executed for anybody so far, by name. */
async function commandsOf(client) {
  const counts = {};
  for (const [, name, calls] of (await client.info('commandstats')).matchAll(
    /^cmdstat_([^:]+):calls=(\d+)/gm,
  )) {
    counts[name] = Number(calls);
  }
  return counts;
}

async function redis(quick) {
  const bare = 'express';
  const peer = 'express+connect-redis';
  const ours = 'express+ours-redis';
  if (!(await listens(REDIS_URL))) return [{ what: 'Redis', skipped: `nothing listens at ${REDIS_URL}` }];
  const there = exports('nest-sessions/redis');
  const all = there ? [bare, ours, peer] : [bare, peer];
  const { Redis } = await import('ioredis');
  const client = new Redis(REDIS_URL);
  const commands = {};
  const settings = scale(
    quick,
    { generations: 2, rounds: 8, requests: 2500, warmUp: 6000 },
    { generations: 1, rounds: 3, requests: 1500, warmUp: 2500 },
  );
  try {
    const results = await measureCells(cellsOf(all, ['write', 'read']), {
      ...settings,
      observe: async (name, measure) => {
        const before = await commandsOf(client);
        const result = await measure();
        const after = await commandsOf(client);
        const total = Object.keys(after).reduce(
          (sum, key) => sum + (key === 'info' ? 0 : after[key] - (before[key] ?? 0)),
          0,
        );
        // The measured requests and the tenth of them that came before.
        (commands[name] ??= []).push(total / (settings.requests * 1.1));
        return result;
      },
    });
    const rows = [];
    for (const [route, what] of [
      ['write', 'read and write'],
      ['read', 'read only'],
    ]) {
      const title = `Redis on Express, ${what}, added to bare ÷ express-session + connect-redis`;
      if (there) {
        rows.push(addedRow(title, results, { bare, ours, peer, route, target: 0.5 }));
        rows.push(
          quotientRow(
            `  commands per request, ${what} (those inside scripts count)`,
            commands[`${ours} ${route}`],
            commands[`${peer} ${route}`],
            undefined,
            (n) => n.toFixed(2),
          ),
        );
      } else {
        const added = median(differences(results[`${peer} ${route}`], results[`${bare} ${route}`]));
        rows.push({ what: title, peer: `+ ${micros(added)}`, skipped: 'nest-sessions/redis is not there' });
      }
    }
    if (there) {
      const bytes = await redisRows.memory(client);
      const show = (value) => `${value.toFixed(0)} B`;
      rows.push(
        quotientRow(
          '  memory in Redis per session of five keys',
          [bytes.ours],
          [bytes.peer],
          undefined,
          show,
        ),
      );
      const { alone, contended, nodes } = await redisRows.taps();
      const perTap = (value) => `${value.toFixed(2)} ms`;
      const what = `  a tap on one session from ${nodes} nodes at once ÷ from one alone (elapsed)`;
      rows.push(quotientRow(what, [contended], [alone], undefined, perTap));
    }
    return rows;
  } finally {
    await forget(client);
    client.disconnect();
  }
}

async function heap(quick) {
  const count = quick ? 200_000 : 1_000_000;
  const bytes = {};
  for (const kind of ['ours', 'express-session']) {
    bytes[kind] = await withStores(ROOMY, (child) => child.ask('bytes', { kind, count }));
  }
  const show = (value) => `${value.toFixed(0)} B`;
  return [
    quotientRow(
      `heap per session of five keys at ${count.toLocaleString('en')} ÷ express-session MemoryStore`,
      [bytes.ours],
      [bytes['express-session']],
      0.9,
      show,
    ),
  ];
}

async function million(quick) {
  const variant = 'fastify+ours-roomy';
  const many = quick ? 200_000 : 1_000_000;
  const cell = (live, sample) => ({
    name: `${live}`,
    variant,
    server: `${live}`,
    route: 'write',
    sessions: { name: `${live}`, live, sample },
  });
  const results = await measureCells([cell(1000, 1000), cell(many, 20_000)], {
    ...scale(
      quick,
      { generations: 1, rounds: 14, requests: 8000, warmUp: 30_000 },
      { generations: 1, rounds: 5, requests: 4000, warmUp: 22_000 },
    ),
    execArgv: ROOMY,
  });
  return [
    quotientRow(
      `a request with ${many.toLocaleString('en')} live sessions ÷ with 1,000 (Fastify, read and write)`,
      results[many],
      results[1000],
      1.15,
    ),
  ];
}

async function purge(quick) {
  const many = quick ? 200_000 : 1_000_000;
  const expired = quick ? 20_000 : 100_000;
  const among = (live, count) => withStores(ROOMY, (child) => child.ask('purge', { live, expired: count }));
  const few = await among(expired, expired);
  const lots = await among(many, expired);
  const tenth = quick ? undefined : await among(many, expired / 10);
  const number = (value) => value.toLocaleString('en');
  const millis = (value) => `${(value / 1000).toFixed(1)} ms`;
  const cpuRow = (what, left, right, target) => quotientRow(what, left.cpu, right.cpu, target, millis);
  return [
    {
      what: `purge of ${number(expired)} expired among ${number(many)} live: longest the event loop stood still (ms)`,
      ours: `${lots.longest.toFixed(1)} ms`,
      peer: `${lots.idleLongest.toFixed(1)} ms idle`,
      ratio: lots.longest,
      target: 10,
    },
    cpuRow(`  its CPU ÷ that of ${number(expired)} expired among ${number(expired)} live`, lots, few),
    ...(tenth
      ? [
          cpuRow(
            `  its CPU ÷ that of ${number(expired / 10)} expired among ${number(many)} live`,
            lots,
            tenth,
          ),
        ]
      : []),
  ];
}

async function tap(quick) {
  const count = quick ? 5000 : 10_000;
  const { alone, contended } = await withStores([], (child) =>
    child.ask('tap', { count, atOnce: 100, rounds: quick ? 4 : 10 }),
  );
  return [
    quotientRow(
      `${count.toLocaleString('en')} taps on one session, 100 at a time ÷ one after another`,
      contended,
      alone,
      2,
    ),
  ];
}

async function encryption(quick) {
  const count = quick ? 10_000 : 30_000;
  const rounds = quick ? 3 : 8;
  const costs = { encrypted: [], plain: [] };
  for (let round = 0; round < rounds; round++) {
    for (const [kind, list] of Object.entries(costs)) {
      const encrypted = kind === 'encrypted';
      list.push(await withStores([], (child) => child.ask('values', { encrypted, count })));
    }
  }
  const what = 'a value of a session of five, written and read once: encrypted ÷ plain';
  return [quotientRow(what, costs.encrypted, costs.plain)];
}

async function large(quick) {
  const variant = 'fastify+ours';
  const cell = (keys) => ({
    name: `${keys}`,
    variant,
    route: 'read',
    sessions: { name: `${keys} keys`, path: `/fill/${keys}` },
  });
  const results = await measureCells(
    [cell(3), cell(100)],
    scale(
      quick,
      { generations: 2, rounds: 8, requests: 4000, warmUp: 8000 },
      { generations: 1, rounds: 4, requests: 2000, warmUp: 5000 },
    ),
  );
  return [
    quotientRow(
      'one small key of a session of 100 keys (50 KB) ÷ of 3 keys (Fastify)',
      results[100],
      results[3],
      1.5,
    ),
  ];
}

const report = { added: addedRow, quotient: quotientRow };

/** Groups of rows by name, in the order of the table; `sql` is all whose names start with it. */
export const groups = {
  fastify,
  express,
  'req-session': reqSession,
  plain,
  redis,
  'sql-sqlite': (quick) => sql.sqlite(quick, report),
  'sql-postgres': (quick) => sql.postgres(quick, report),
  'sql-bytes': () => sqlTables.bytes(report),
  'sql-million': (quick) => sqlTables.million(quick, report),
  'sql-purge': (quick) => sqlTables.purge(quick),
  heap,
  million,
  purge,
  tap,
  large,
  encryption,
  sockets: (quick) => sockets(quick, report),
};

function exports(name) {
  try {
    return Boolean(import.meta.resolve(name));
  } catch {
    return false;
  }
}

function listens(url) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port || 6379) });
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** Removes what the benchmark left, and nothing else. */
async function forget(client) {
  for await (const keys of client.scanStream({ match: `${REDIS_PREFIX}*`, count: 1000 })) {
    if (keys.length > 0) await client.del(keys);
  }
}
