// Event batches signed with a key that the official package @sendgrid/eventwebhook accepts are
// accepted; everything it would refuse, and what is stale, is refused.
import assert from 'node:assert/strict';
import { createSign, generateKeyPairSync, randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import sendgrid from '@sendgrid/eventwebhook';
import { apiOf, post, startServer } from './support.mjs';

const { EventWebhook, EventWebhookHeader } = sendgrid;
const signatureHeader = EventWebhookHeader.SIGNATURE();
const timestampHeader = EventWebhookHeader.TIMESTAMP();

const pair = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const otherPair = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
const webhook = new EventWebhook();
const official = webhook.convertPublicKeyToECDSA(publicKey);

let server;
let api;
let hook;

before(async () => {
  server = await startServer();
  api = apiOf(server);
  const made = await api.post('/api/v1/integrations', {
    provider: 'sendgrid',
    name: 'SendGrid',
    credentials: { api_key: 'SG.test', webhook_public_key: publicKey },
    settings: {},
  });
  assert.equal(made.status, 201);
  hook = made.body.webhook_url;
});
after(() => server?.stop());

const now = () => Math.floor(Date.now() / 1000);
const sign = (timestamp, body, key = pair.privateKey, hash = 'SHA256', dsaEncoding = 'der') =>
  createSign(hash).update(String(timestamp)).update(body).sign({ key, dsaEncoding }).toString('base64');
const event = (more = {}) => ({
  email: 'ana@example.com', timestamp: now(), event: 'delivered', response: '250 OK',
  'smtp-id': '<m1@ismtpd>', sg_event_id: randomUUID(), sg_message_id: 'Xid.recvd-1.0', ...more });
const batch = (...events) => `[${events.map((one) => JSON.stringify(one)).join(',\r\n')}]\r\n`;

function send(body, timestamp, signature, type = 'application/json') {
  const headers = { 'content-type': type };
  if (timestamp !== undefined) headers[timestampHeader] = String(timestamp);
  if (signature !== undefined) headers[signatureHeader] = signature;
  return post(hook, headers, body);
}

async function accepted(body, timestamp = now()) {
  const signature = sign(timestamp, body);
  assert.ok(webhook.verifySignature(official, body, signature, String(timestamp)),
    'the package accepts it');
  const answer = await send(body, timestamp, signature);
  assert.equal(Math.trunc(answer.status / 100), 2);
}

test('the vector of the protocol sheet verifies with the package', () => {
  const key = webhook.convertPublicKeyToECDSA(
    'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENgobIu2gOLLVdOSRRuj2xG2NYwoFQwgyw6XJOClEe/rK4O4M7hSTBP5htaDGSNtc6Gx25FFsfL+KNEsic5PUSA==');
  const body = '[{"email":"a@example.com","event":"open","timestamp":1700000000,"sg_event_id":"ZTE","sg_message_id":"m.1"}]\r\n';
  assert.ok(webhook.verifySignature(key, body,
    'MEQCICcVmnWk8F+pYoVOowLz5xHmVh4zQtT1seIzKfgd6g1RAiBYdQTNqNalpFBk/b1enkVUj1YjRPmqVOzxquJLrdUK7A==',
    '1700000005'));
});

test('batches of every kind are accepted', async () => {
  for (const kind of ['processed', 'deferred', 'delivered', 'bounce', 'dropped', 'open', 'click',
    'spamreport', 'unsubscribe', 'group_unsubscribe', 'group_resubscribe', 'account_status_change',
    'something_new']) {
    await accepted(batch(event({ event: kind })));
  }
  await accepted(batch(event(), event({ event: 'open' }), event({ event: 'click', url: 'https://www.example.com/?a=1' })));
  await accepted(batch(event({ email: 'zoë@example.com', category: ['über', '名前'], note: '👍 "q" \\ /' })));
  await accepted('[]');
  await accepted(JSON.stringify([event()], null, 2));
  await accepted(batch(...Array.from({ length: 500 }, () => event())));
});

test('a batch up to 48 h old is accepted: retries may not be signed anew', async () => {
  await accepted(batch(event()), now() - 47 * 3600);
});

test('the same batch again changes nothing', async () => {
  const before_ = await api.stored();
  const body = batch(event());
  const timestamp = now();
  for (let i = 0; i < 3; i += 1) {
    const answer = await send(body, timestamp, sign(timestamp, body));
    assert.equal(Math.trunc(answer.status / 100), 2);
  }
  assert.deepEqual(await api.stored(), before_);
});

test('many random signatures: the package and the server agree on each', async () => {
  for (let i = 0; i < 40; i += 1) await accepted(batch(event({ note: randomUUID() })));
});

test('bad elements of a signed batch are kept, the good ones taken', async () => {
  const before_ = await api.stored();
  const timestamp = now();
  const body = `[${JSON.stringify(event())},7,"x",${JSON.stringify(event())}]`;
  assert.equal(Math.trunc((await send(body, timestamp, sign(timestamp, body))).status / 100), 2);
  assert.equal((await api.stored()).failures, before_.failures + 2);
});

test('a mail by inbound parse is accepted, signed by the same key', async () => {
  const boundary = 'xYzZY';
  const parts = {
    headers: `Message-ID: <${randomUUID()}@mail.example.com>\r\n`, to: 'shop@parse.example.com',
    from: 'Ana <ana@example.com>', subject: 'Café', text: 'Où est ma commande ?',
    envelope: '{"to":["shop@parse.example.com"],"from":"ana@example.com"}',
    charsets: '{"text":"UTF-8","subject":"UTF-8"}', attachments: '0' };
  const body = `${Object.entries(parts).map(([name, value]) =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`).join('')}--${boundary}--\r\n`;
  const timestamp = now();
  const answer = await send(body, timestamp, sign(timestamp, body),
    `multipart/form-data; boundary=${boundary}`);
  assert.equal(Math.trunc(answer.status / 100), 2);
  const stored = await api.messages();
  assert.equal(stored.filter((one) => one.body.trim() === parts.text && one.subject === 'Café').length, 1);
});

test('every forgery is refused with 401 and leaves nothing', async (t) => {
  const before_ = await api.stored();
  const timestamp = now();
  const body = batch(event());
  const good = sign(timestamp, body);
  const der = Buffer.from(good, 'base64');
  const zero = Buffer.from([0x30, 6, 2, 1, 0, 2, 1, 0]).toString('base64');
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
  const forgeries = {
    'no headers': [body],
    'no signature': [body, timestamp],
    'no timestamp': [body, undefined, good],
    'empty signature': [body, timestamp, ''],
    'not base64': [body, timestamp, '!!!'],
    'another key': [body, timestamp, sign(timestamp, body, otherPair.privateKey)],
    'another curve': [body, timestamp, sign(timestamp, body, p384)],
    'SHA-1': [body, timestamp, sign(timestamp, body, pair.privateKey, 'SHA1')],
    'IEEE P1363 form': [body, timestamp, sign(timestamp, body, pair.privateKey, 'SHA256', 'ieee-p1363')],
    'truncated DER': [body, timestamp, der.subarray(0, -1).toString('base64')],
    'DER with bytes behind': [body, timestamp, Buffer.concat([der, Buffer.from([0])]).toString('base64')],
    'r and s are zero': [body, timestamp, zero],
    'a changed body': [body.replace('ana@', 'eve@'), timestamp, good],
    'the final CRLF stripped': [body.trimEnd(), timestamp, good],
    'the body re-serialised': [JSON.stringify(JSON.parse(body)), timestamp, good],
    'another timestamp': [body, timestamp - 1, good],
    'the timestamp unsigned': [body, timestamp, sign('', body)],
    'body before timestamp': [body, timestamp,
      createSign('SHA256').update(body).update(String(timestamp)).sign(pair.privateKey).toString('base64')],
    'a timestamp that is no number': [body, 'soon', sign('soon', body)],
    'a negative timestamp': [body, '-1', sign('-1', body)],
    'older than 48 h': [body, timestamp - 49 * 3600, sign(timestamp - 49 * 3600, body)],
    'an hour in the future': [body, timestamp + 3600, sign(timestamp + 3600, body)],
  };
  for (const [name, attempt] of Object.entries(forgeries)) {
    await t.test(name, async () => {
      const answer = await send(...attempt);
      assert.equal(answer.status, 401);
      assert.equal(answer.type, 'application/problem+json');
    });
  }
  assert.deepEqual(await api.stored(), before_);
  assert.equal(Math.trunc((await send(body, timestamp, good)).status / 100), 2, 'the right one passes');
});
