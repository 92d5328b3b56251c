// Traffic signed by the official package `twilio` is accepted; everything else is refused.
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import twilio from 'twilio';
// The package keeps this one to its own folder; it is what makes bodySHA256.
import { getExpectedBodyHash } from 'twilio/lib/webhooks/webhooks.js';
import { apiOf, post, startServer } from './support.mjs';

const accountSid = 'AC00000000000000000000000000000000';
const authToken = 'test_auth_token_0123456789abcdef';
const formType = 'application/x-www-form-urlencoded; charset=UTF-8';

let server;
let api;
let hook;

before(async () => {
  server = await startServer();
  api = apiOf(server);
  const made = await api.post('/api/v1/integrations', {
    provider: 'twilio',
    name: 'Twilio',
    credentials: { account_sid: accountSid, auth_token: authToken },
    settings: { from: '+15550100001' },
  });
  assert.equal(made.status, 201);
  hook = made.body.webhook_url;
});
after(() => server?.stop());

const sid = () => `SM${randomUUID().replaceAll('-', '')}`;

function message(body, more = {}) {
  const id = sid();
  return {
    MessageSid: id, SmsSid: id, SmsMessageSid: id, AccountSid: accountSid,
    From: '+15550100777', To: '+15550100001', Body: body, NumMedia: '0', NumSegments: '1',
    SmsStatus: 'received', ApiVersion: '2010-04-01', FromCity: '', FromCountry: 'US', ...more,
  };
}

function encode(params) {
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const one of [value].flat()) form.append(name, one);
  }
  return form.toString();
}

const sign = (url, params, token = authToken) =>
  twilio.getExpectedTwilioSignature(token, url, params);
const send = (signature, params, url = hook) =>
  post(url, { 'content-type': formType, ...(signature === undefined ? {} : { 'x-twilio-signature': signature }) },
    typeof params === 'string' ? params : encode(params));

test('the vector of the protocol sheet is what the package computes', () => {
  assert.equal(
    sign('https://hooks.example.com/api/v1/webhooks/twilio/sms?tenant=acme', {
      To: '+15550100001', From: '+15550100777', Body: ' Hé 👍 ', NumMedia: '0',
      MessageSid: 'SM00000000000000000000000000000001', AccountSid: accountSid, FromCity: '',
    }),
    'c9ZnTMnFB7vjSEo2cjiLdNUAiaI=');
});

test('messages of every kind are accepted, answered with empty TwiML and stored as written', async () => {
  const bodies = ['Do you ship?', ' spaces at both ends ', 'Hé 👍', 'a+b & c=d %41 "quoted"', '',
    'ligne un\nligne deux', 'Èske nou louvri dimanch?', '¿Cuánto cuesta?', '\u0065\u0301 decomposed',
    'x'.repeat(1600)];
  for (const body of bodies) {
    const params = message(body);
    const answer = await send(sign(hook, params), params);
    assert.equal(answer.status, 200, JSON.stringify(body));
    assert.match(answer.type, /^text\/xml/);
    assert.match(answer.text, /<Response\s*\/>|<Response><\/Response>/);
  }
  const stored = (await api.messages()).map((one) => one.body);
  for (const body of bodies.filter((one) => one !== '' && one.trim() === one)) {
    assert.equal(stored.filter((one) => one === body).length, 1, JSON.stringify(body));
  }
});

test('media, WhatsApp, unknown and repeated fields are signed as the package does', async () => {
  const cases = [
    message('with media', {
      NumMedia: '1', MediaContentType0: 'image/jpeg',
      MediaUrl0: 'https://api.twilio.com/2010-04-01/Accounts/AC0/Messages/MM0/Media/ME0' }),
    message('by WhatsApp', {
      From: 'whatsapp:+15550100777', To: 'whatsapp:+15550100002', ProfileName: 'Ana',
      WaId: '15550100777' }),
    message('no phone number', { From: 'whatsapp:US.13491208655302741918' }),
    message('new field', { SomethingNew: 'ñ', anotherNew: '', _x: '~*!()\'' }),
    message('repeated', { Extra: ['b', 'a', 'b'] }),
  ];
  for (const params of cases) {
    const signature = sign(hook, params);
    assert.ok(twilio.validateRequest(authToken, signature, hook, params));
    assert.equal((await send(signature, params)).status, 200, params.Body);
  }
});

test('status callbacks are accepted', async () => {
  for (const status of ['queued', 'sent', 'delivered', 'undelivered', 'failed', 'read', 'new-one']) {
    const id = sid();
    const params = {
      MessageSid: id, SmsSid: id, MessageStatus: status, SmsStatus: status, To: '+15550100777',
      From: '+15550100001', AccountSid: accountSid, ApiVersion: '2010-04-01' };
    const answer = await send(sign(hook, params), params);
    assert.equal(Math.trunc(answer.status / 100), 2, status);
  }
});

test('a signature over the URL without its port is accepted, and so is a query', async () => {
  const withoutPort = hook.replace(/:\d+\//, '/');
  let params = message('no port');
  assert.equal((await send(sign(withoutPort, params), params)).status, 200);
  params = message('with query');
  const url = `${hook}?tenant=acme&x=%C3%A9`;
  assert.equal((await send(sign(url, params), params, url)).status, 200);
});

test('a JSON body under bodySHA256 is accepted, and kept', async () => {
  const body = JSON.stringify({ MessageSid: sid(), note: 'é' });
  const url = `${hook}?bodySHA256=${getExpectedBodyHash(body)}`;
  const signature = sign(url, {});
  assert.ok(twilio.validateRequestWithBody(authToken, signature, url, body));
  const answer = await post(
    url, { 'content-type': 'application/json', 'x-twilio-signature': signature }, body);
  assert.equal(answer.status, 200);
});

test('the same message again is accepted and stored once', async () => {
  const params = message(`again ${sid()}`);
  const signature = sign(hook, params);
  for (let i = 0; i < 5; i += 1) assert.equal((await send(signature, params)).status, 200);
  const stored = await api.messages();
  assert.equal(stored.filter((one) => one.body === params.Body).length, 1);
});

test('a GET webhook is signed by its URL alone', async () => {
  const query = new URLSearchParams(message('by GET')).toString();
  const url = `${hook}?${query}`;
  const answer = await fetch(url, { headers: { 'x-twilio-signature': sign(url, {}) } });
  // The address takes POST for Twilio; a GET must at least change nothing and never be an error of ours.
  assert.ok(answer.status < 500);
});

test('every forgery is refused with 401 and leaves nothing', async (t) => {
  const before_ = await api.stored();
  const params = message(' forged Ünïcode ');
  const good = sign(hook, params);
  const raw = encode(params);
  const json = JSON.stringify({ MessageSid: sid() });
  const jsonUrl = `${hook}?bodySHA256=${getExpectedBodyHash(json)}`;
  const forgeries = {
    'no signature': () => send(undefined, params),
    'empty signature': () => send('', params),
    'not base64': () => send('!!!', params),
    'truncated': () => send(good.slice(0, -4), params),
    'longer': () => send(`${good}AAAA`, params),
    'one bit off': () => send((good[0] === 'A' ? 'B' : 'A') + good.slice(1), params),
    'another token': () => send(sign(hook, params, 'another_token_0123456789abcdef'), params),
    'empty token': () => send(sign(hook, params, ''), params),
    'the account sid as token': () => send(sign(hook, params, accountSid), params),
    'another path': () => send(sign(`${hook}x`, params), params),
    'another query': () => send(sign(`${hook}?a=1`, params), params),
    'query dropped': () => send(good, params, `${hook}?a=1`),
    'another scheme': () => send(sign(hook.replace('http:', 'https:'), params), params),
    'another host': () => send(sign(hook.replace('127.0.0.1', '127.0.0.2'), params), params),
    'another port': () => send(sign(hook.replace(/:\d+\//, ':1/'), params), params),
    'a changed value': () => send(good, { ...params, Body: 'changed' }),
    'a trimmed value': () => send(good, { ...params, Body: params.Body.trim() }),
    'a decomposed value': () => send(good, { ...params, Body: params.Body.normalize('NFD') }),
    'a field more': () => send(good, { ...params, Extra: '1' }),
    'an empty field more': () => send(good, { ...params, Extra: '' }),
    'a field less': () => send(good, Object.fromEntries(Object.entries(params).slice(1))),
    'a renamed field': () => send(good, raw.replace('Body=', 'body=')),
    'the body unsigned': () => send(sign(hook, {}), params),
    'the raw body signed': () =>
      send(createHmac('sha1', authToken).update(hook + raw).digest('base64'), params),
    'SHA-256 instead': () => {
      const text = hook + Object.keys(params).sort().map((k) => k + params[k]).join('');
      return send(createHmac('sha256', authToken).update(text).digest('base64'), params);
    },
    'hex instead of base64': () => send(Buffer.from(good, 'base64').toString('hex'), params),
    'JSON without bodySHA256': () => post(hook, {
      'content-type': 'application/json', 'x-twilio-signature': sign(hook, {}) }, json),
    'JSON with the hash of another': () => post(jsonUrl, {
      'content-type': 'application/json', 'x-twilio-signature': sign(jsonUrl, {}) }, `${json} `),
    'JSON with an unsigned hash': () => post(jsonUrl, {
      'content-type': 'application/json', 'x-twilio-signature': sign(hook, {}) }, json),
    'JSON passed off as a form': () => post(jsonUrl, {
      'content-type': formType, 'x-twilio-signature': sign(jsonUrl, {}) }, 'Body=x'),
  };
  for (const [name, attempt] of Object.entries(forgeries)) {
    await t.test(name, async () => {
      const answer = await attempt();
      assert.equal(answer.status, 401);
      assert.equal(answer.type, 'application/problem+json');
    });
  }
  assert.deepEqual(await api.stored(), before_);
  assert.equal((await send(good, params)).status, 200, 'the right one passes');
});
