// The pages /docs and /redoc in a real browser: they show the API, load nothing from another host
// and break no rule of their content security policy. SARA_URL names a server that runs already.
import assert from 'node:assert/strict';
import {execFile, spawn, spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {after, before, test} from 'node:test';
import {promisify} from 'node:util';

const place = mkdtempSync(join(tmpdir(), 'sara-pages-'));
let url = process.env.SARA_URL;
let server;

function listening(child) {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
      const found = /listening on (http:\S+)\n/.exec(text);
      if (found) resolve(found[1]);
    });
    child.on('exit', (code) => reject(new Error(`the server ended with ${code}: ${text}`)));
  });
}

before(async () => {
  if (url) return;
  const args = ['serve', '--port', '0', '--data-dir', join(place, 'data')];
  server = spawn(process.env.SARA_BINARY, args, {stdio: ['ignore', 'pipe', 'ignore']});
  url = await listening(server);
}, {timeout: 60_000});

after(async () => {
  if (server) {
    server.removeAllListeners('exit');
    const ended = new Promise((resolve) => server.on('exit', resolve));
    server.kill('SIGTERM');
    await ended;
  }
  rmSync(place, {recursive: true, force: true});
}, {timeout: 30_000});

const chromium = spawnSync('chromium', ['--version']).status === 0;
const document = JSON.parse(
    readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8'));

for (const page of ['/docs', '/redoc']) {
  test(`${page} shows the API`, {skip: !chromium && 'no chromium', timeout: 60_000}, async () => {
    const args = [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
      `--user-data-dir=${join(place, 'browser')}`, '--virtual-time-budget=15000',
      '--enable-logging=stderr', '--dump-dom', url + page,
    ];
    const {stdout, stderr} =
        await promisify(execFile)('chromium', args, {maxBuffer: 64 << 20});
    const complaints = stderr.split('\n').filter((line) => line.includes(':CONSOLE('));
    assert.deepEqual(complaints, []);
    assert.ok(stdout.includes(document.info.title), 'the title of the document is on the page');
    const summaries = Object.values(document.paths)
        .flatMap((path) => Object.values(path).map((operation) => operation.summary))
        .filter(Boolean);
    const shown = summaries.filter((summary) => stdout.includes(summary.replaceAll('&', '&amp;')));
    assert.ok(shown.length > summaries.length / 2,
              `${shown.length} of ${summaries.length} routes are on the page`);
  });
}
