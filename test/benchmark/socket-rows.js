/** What sockets cost: a message, an open one, a look at all of them, and how soon they are closed. */
import { Child, cores } from './processes.js';
import { median, spread } from './stats.js';

const TALKERS = 32;

async function withSockets(variants, work) {
  const client = await Child.start('socket-client.js', [], { core: cores.client });
  const servers = [];
  try {
    for (const args of variants) {
      const execArgv = ['--expose-gc'];
      servers.push(await Child.start('socket-server.js', args, { core: cores.server, execArgv }));
    }
    return await work(client, servers);
  } finally {
    for (const server of servers) await server.stop();
    await client.stop();
  }
}

/** Microseconds of CPU for each message, round by round. */
function messages(quick) {
  return withSockets([['ours'], ['ours'], ['bare']], async (client, [ours, idle, bare]) => {
    const places = [
      ['bare', bare, 'plain'],
      // A process of its own, as the other one has had sessions in its hands.
      ['plain', idle, 'plain'],
      ['read', ours, 'read'],
      ['write', ours, 'write'],
    ];
    for (const [name, server] of places) {
      const cookies = await server.ask('create', TALKERS);
      await client.ask('open', { name, port: server.ready, cookies });
    }
    const [rounds, count, warmUp] = quick ? [6, 6_000, 15_000] : [16, 15_000, 40_000];
    for (const [name, , event] of places) await client.ask('talk', { name, event, count: warmUp });
    const costs = { bare: [], plain: [], read: [], write: [] };
    for (let round = 0; round < rounds; round++) {
      for (const [name, server, event] of round % 2 === 0 ? places : places.toReversed()) {
        const before = await server.ask('cpu');
        const sent = await client.ask('talk', { name, event, count });
        costs[name].push(((await server.ask('cpu')) - before) / sent);
      }
    }
    return costs;
  });
}

/** Bytes for each open socket that has not said anything yet, each with a session of its own. */
async function bytes(variant, count) {
  return withSockets([[variant]], async (client, [server]) => {
    const cookies = await server.ask('create', count);
    const open = (name, some) => client.ask('open', { name, port: server.ready, cookies: some });
    await open('warm', cookies.slice(0, 1_000));
    const before = await server.ask('memory');
    await open('counted', cookies.slice(1_000));
    return ((await server.ask('memory')) - before) / (count - 1_000);
  });
}

function ends(count, sessions) {
  return withSockets([['ours', '1s']], async (client, [server]) => {
    const cookies = await server.ask('create', sessions);
    const each = count / sessions;
    // Those of a session lie side by side.
    const all = cookies.flatMap((cookie) => Array(each).fill(cookie));
    await client.ask('open', { name: 'all', port: server.ready, cookies: all });
    await server.ask('rest', 2);
    const { cpu, looks } = await server.ask('rest', 10);
    const delays = [];
    for (let i = 0; i < 50; i++) {
      const at = await server.ask('end', `user-${i}`);
      delays.push((await client.ask('closed', { name: 'all', from: i * each, count: each })) - at);
    }
    const largest = Math.max(...looks);
    const calls = Math.ceil(sessions / 500);
    return { round: cpu / (looks.length / calls), calls, largest, delays };
  });
}

export async function sockets(quick, { quotient }) {
  const rows = [];
  const { bare, plain, read, write } = await messages(quick);
  rows.push(
    quotient('a message over ws, @Session() and one value read ÷ a handler without', read, plain),
    quotient('  one value read and written ÷ a handler without', write, plain),
    quotient('  a handler without, withSessions() ÷ the bare adapter', plain, bare),
  );
  const many = quick ? 5_000 : 9_000;
  const own = (await bytes('ours', many)) - (await bytes('bare', many));
  rows.push({
    what: `memory that an open socket adds, each with a session of its own, at ${many.toLocaleString('en')} (bytes)`,
    ours: `${own.toFixed(0)} B`,
    ratio: own,
    target: 1024,
  });
  const { round, calls, largest, delays } = await ends(10_000, 1_000);
  rows.push(
    {
      what: `10,000 sockets of 1,000 sessions: a look at all, ${calls} calls of at most ${largest} (ms of CPU)`,
      ours: `${round.toFixed(1)} ms`,
    },
    {
      what: '  from a logout to the last of its 10 sockets closed at the client (ms)',
      ours: `${median(delays).toFixed(1)} ms`,
      ratio: median(delays),
      spread: spread(delays),
      target: 1000,
    },
  );
  return rows;
}
