/** Measures variants over HTTP, side by side. */
import { Child, cores } from './processes.js';

const SESSIONS = 300;

/** How each route answers a server with sessions, as the load generator checks it. */
const ANSWERS = { plain: 0, write: 'counts', read: 'same' };

/** A server and a client that knows sessions of it. */
class Lane {
  static async open(variant, client, execArgv) {
    const lane = new Lane();
    lane.variant = variant;
    lane.client = client;
    lane.server = await Child.start('server.js', [variant], { core: cores.server, execArgv });
    lane.port = lane.server.ready;
    lane.stateless = /^[a-z]+(\+interceptor)?$/.test(variant);
    return lane;
  }

  start(name, path) {
    const { port, stateless, variant } = this;
    return this.client.ask('start', { port, path, count: SESSIONS, stateless, name: `${variant} ${name}` });
  }

  run(name, route, count, connections) {
    const answer = this.stateless && route !== 'plain' ? 1 : ANSWERS[route];
    return this.client.ask('run', {
      port: this.port,
      path: `/${route}`,
      count,
      connections,
      answer,
      name: `${this.variant} ${name}`,
    });
  }

  /** Microseconds of the server's CPU per request. */
  async measure(name, route, count, connections) {
    await this.run(name, route, Math.ceil(count / 10), connections);
    const before = await this.server.ask('cpu');
    await this.run(name, route, count, connections);
    return ((await this.server.ask('cpu')) - before) / count;
  }

  async close() {
    await this.client.ask('leave', { port: this.port });
    await this.server.stop();
  }
}

/**
 * Measures cells in turn, round after round, there and back again. A cell is `{ name, variant, route }`, `connections` and
 * `requests` where they are not those of all cells, and,
 * where it is not the sessions that one visit makes, `sessions`: a name with
 * - `path`: what to start them with, or
 * - `live` and `sample`: how many are made in the server, and how many of them are used, or
 * - `cookies(generation)`: those of sessions that are there already, which have counted to 1.
 *
 * Every generation has processes of its own, so that no figure hangs on the luck of one process.
 *
 * @returns by the cell's `name`, microseconds of server CPU per request, one figure a round
 */
export async function measureCells(cells, { generations, rounds, requests, warmUp, execArgv, observe }) {
  const results = Object.fromEntries(cells.map(({ name }) => [name, []]));
  for (let generation = 0; generation < generations; generation++) {
    const client = await Child.start('client.js', [], { core: cores.client });
    const lanes = new Map();
    try {
      for (const { variant, server = variant } of cells) {
        if (!lanes.has(server)) lanes.set(server, await Lane.open(variant, client, execArgv));
      }
      const places = cells.map(({ variant, server = variant, ...cell }) => ({
        lane: lanes.get(server),
        ...cell,
      }));
      for (const { lane, route, sessions = { name: 'visitors', path: '/write' } } of places) {
        const { name, path, live, sample } = sessions;
        const adopt = (cookies) => client.ask('adopt', { name: `${lane.variant} ${name}`, cookies });
        if (sessions.cookies) {
          await adopt(sessions.cookies(generation));
        } else if (live !== undefined) {
          const ids = await lane.server.ask('create', { count: live, sample });
          await adopt(ids.map((id) => `sid=${id}`));
        } else {
          await lane.start(name, path);
        }
        await lane.run(name, route, warmUp);
      }
      for (let round = 0; round < rounds; round++) {
        for (const place of round % 2 === 0 ? places : places.toReversed()) {
          const { lane, route, sessions, connections, requests: count = requests } = place;
          const measure = () => lane.measure(sessions?.name ?? 'visitors', route, count, connections);
          results[place.name].push(await (observe ? observe(place.name, measure) : measure()));
        }
      }
      for (const lane of lanes.values()) await lane.close();
    } finally {
      for (const { server } of lanes.values()) await server.stop();
      await client.stop();
    }
  }
  return results;
}
