/** What requests cost on PostgreSQL and SQLite. */
import { rmSync } from 'node:fs';
import { measureCells } from './http.js';
import { SQLITE_FILE } from './sql.js';
import { ROUTES, watchDatabase, withSchema } from './sql-database.js';

const cellsOf = (variants, routes) =>
  routes.flatMap((route) => variants.map((variant) => ({ name: `${variant} ${route}`, variant, route })));

/** @param report makes rows: `added(what, results, { bare, ours, peer, route, target })`, `quotient(what, ours, peer, target, show)` */
export async function sqlite(quick, { added }) {
  forgetFile();
  const settings = quick
    ? { generations: 1, rounds: 5, requests: 1500, warmUp: 4000 }
    : { generations: 2, rounds: 8, requests: 2000, warmUp: 8000 };
  const [bare, peer, ours] = ['express', 'express+ours', 'express+ours-sqlite'];
  try {
    const results = await measureCells(cellsOf([bare, peer, ours], ['write', 'read']), settings);
    return ROUTES.map(([route, what]) =>
      added(`SQLite (better-sqlite3) on Express, ${what}, added to bare ÷ memory`, results, {
        bare,
        ours,
        peer,
        route,
      }),
    );
  } finally {
    forgetFile();
  }
}

function forgetFile() {
  for (const suffix of ['', '-wal', '-shm']) rmSync(SQLITE_FILE + suffix, { force: true });
}

export const postgres = (quick, report) =>
  withSchema('PostgreSQL', async (pool) => [
    ...(await besidePeer(quick, pool, report)),
    ...(await statements(report)),
  ]);

async function besidePeer(quick, pool, { added, quotient }) {
  const settings = quick
    ? { generations: 1, rounds: 4, requests: 1500, warmUp: 2500 }
    : { generations: 2, rounds: 6, requests: 2000, warmUp: 5000 };
  const [bare, ours, peer] = ['express', 'express+ours-pg', 'express+connect-pg-simple'];
  const { observe, perRequest } = watchDatabase(pool, settings.requests);
  const cells = cellsOf([bare, ours, peer], ['write', 'read']);
  const alone = cells.map((cell) => ({ ...cell, name: `${cell.name} alone`, connections: 1, requests: 500 }));
  const results = await measureCells([...cells, ...alone], { ...settings, observe });
  return ROUTES.flatMap(([route, what]) => {
    const row = (title, cell, target) => added(title, results, { bare, ours, peer, route: cell, target });
    const [left, right] = [ours, peer].map((variant) => perRequest[`${variant} ${route}`]);
    return [
      row(`PostgreSQL on Express, ${what}, added to bare ÷ express-session + connect-pg-simple`, route, 0.5),
      row(`  the same, one request at a time`, `${route} alone`),
      ...(left && right ? [quotient(`  CPU of PostgreSQL, ${what}`, left, right)] : []),
    ];
  });
}

/** Statements that a request sends, counted at the driver, in this process. */
async function statements({ quotient }) {
  const { Client } = await import('pg');
  const { variants } = await import('./apps.js');
  let sent = 0;
  const { query } = Client.prototype;
  Client.prototype.query = function counted(...args) {
    sent++;
    return query.apply(this, args);
  };
  const perRequest = async (variant) => {
    const app = await variants[variant]();
    await app.listen(0, '127.0.0.1');
    const url = `http://127.0.0.1:${app.getHttpServer().address().port}`;
    const [cookie] = (await fetch(`${url}/write`)).headers.getSetCookie()[0].split(';');
    const counts = {};
    for (const [route] of ROUTES) {
      sent = 0;
      for (let i = 0; i < 20; i++) await (await fetch(`${url}/${route}`, { headers: { cookie } })).text();
      counts[route] = sent / 20;
    }
    await app.close();
    return counts;
  };
  try {
    const ours = await perRequest('express+ours-pg');
    const peer = await perRequest('express+connect-pg-simple');
    return ROUTES.map(([route, what]) =>
      quotient(`  statements per request, ${what}`, [ours[route]], [peer[route]], undefined, (n) =>
        n.toFixed(2),
      ),
    );
  } finally {
    Client.prototype.query = query;
  }
}
