// The real server for the tests beside: started on a fresh data directory, or named by SARA_URL and
// SARA_API_KEY. Ends what it started, and nothing else.
import { spawn, execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const binary = process.env.SARA_BINARY ?? path.join(here, '../../build/release/madansara');

/** The environment without what configures a server of the tester's own. */
function cleanEnvironment() {
  const ours = /^(DATABASE_URL|PORT|PUBLIC_BASE_URL|ENVIRONMENT|MADANSARA_.*)$/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)));
}

function announcedPort(child) {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error('the server did not start in 60 s')), 60_000);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = /listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(line);
      if (!found) return;
      clearTimeout(deadline);
      resolve(found[1]);
    });
  });
}

/** Ends the private Postgres below `data` if the server left it: only a process that works there. */
function endPostgres(data) {
  const place = path.join(data, 'postgres.place');
  if (!existsSync(place)) return;
  const named = /^cluster=(.*)$/m.exec(readFileSync(place, 'utf8'));
  const cluster = named && path.resolve(data, named[1]);
  if (!cluster || !existsSync(path.join(cluster, 'postmaster.pid'))) return;
  const pid = Number.parseInt(readFileSync(path.join(cluster, 'postmaster.pid'), 'utf8'), 10);
  try {
    if (pid > 1 && readlinkSync(`/proc/${pid}/cwd`) === cluster) process.kill(pid, 'SIGQUIT');
  } catch {
    // It is gone already.
  }
}

/** A server with a tenant: { url, key, stop() }. */
export async function startServer() {
  if (process.env.SARA_URL) {
    return { url: process.env.SARA_URL, key: process.env.SARA_API_KEY, stop: async () => {} };
  }
  const place = mkdtempSync(path.join(tmpdir(), 'sara-node-'));
  chmodSync(place, 0o755); // Postgres runs as another user when we are root.
  const data = path.join(place, 'data');
  const env = cleanEnvironment();
  const child = spawn(binary, ['serve', '--port', '0', '--data-dir', data], { env });
  const log = [];
  child.stderr.on('data', (piece) => log.push(piece));
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      const insist = setTimeout(() => child.kill('SIGKILL'), 20_000);
      await ended;
      clearTimeout(insist);
    }
    endPostgres(data);
    rmSync(place, { recursive: true, force: true, maxRetries: 5 });
    const text = Buffer.concat(log).toString();
    const report = /^.*(Sanitizer: |: runtime error: )/m.exec(text);
    if (report) throw new Error(`a sanitizer has found something:\n${text.slice(report.index)}`);
  };
  try {
    const url = await announcedPort(child);
    const words = ['tenant', 'create', '--name', 'Node', '--json', '--data-dir', data];
    const tenant = JSON.parse(execFileSync(binary, words, { env, encoding: 'utf8' }));
    return { url, key: tenant.api_key, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A client of the API: every method gives { status, body }. */
export function apiOf(server) {
  const ask = async (method, target, body) => {
    const answer = await fetch(server.url + target, {
      method,
      headers: {
        authorization: `Bearer ${server.key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
  };
  return {
    get: (target) => ask('GET', target),
    post: (target, body) => ask('POST', target, body),
    async list(target) {
      const rows = [];
      let cursor = null;
      do {
        const more = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
        const page = await ask('GET', `${target}?limit=200${more}`);
        if (page.status !== 200) throw new Error(`${target}: ${page.status}`);
        rows.push(...page.body.data);
        cursor = page.body.next_cursor;
      } while (cursor !== null);
      return rows;
    },
    /** All messages of all conversations. */
    async messages() {
      const all = [];
      for (const row of await this.list('/api/v1/responses/inbox')) {
        all.push(...(await this.list(`/api/v1/conversations/${row.id}/messages`)));
      }
      return all;
    },
    /** How much is stored: messages and kept failures. */
    async stored() {
      const failures = await this.list('/api/v1/webhook-failures');
      return { messages: (await this.messages()).length, failures: failures.length };
    },
  };
}

/** Posts raw bytes; gives { status, type, text }. */
export async function post(url, headers, body) {
  const answer = await fetch(url, { method: 'POST', headers, body, redirect: 'manual' });
  return {
    status: answer.status,
    type: answer.headers.get('content-type') ?? '',
    text: await answer.text(),
  };
}
