// The console in a real browser: an operator signs in, watches devices that really send, changes a twin, calls a method,
// tries a route; and who has no good key stays outside.
//
// SCREENSHOTS=DIR keeps a picture of each page, wide and narrow, light and dark.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import deviceSdk from 'azure-iot-device';
import mqttSdk from 'azure-iot-device-mqtt';
import { chromium } from 'playwright-core';
import { Hub, Service, folder, random, run } from './harness.mjs';

after(() => setTimeout(() => process.exit(), 500).unref());

const patience = 30_000;
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** A browser with an empty profile. What it complains of, and whom it asks besides the hub, is collected. */
async function browse(t, hub) {
  let context;
  t.after(() => context?.close()); // before its folder goes: these run in the order they were made
  const profile = folder(t);
  context = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium', headless: true, args: flags, ignoreHTTPSErrors: true, viewport: { width: 1280, height: 860 },
  });
  context.setDefaultTimeout(patience);
  const page = context.pages()[0] ?? await context.newPage();
  const complaints = [];
  const origin = `https://localhost:${hub.ready.https}`;
  page.on('pageerror', (error) => complaints.push(`error: ${error}`));
  page.on('console', (message) => {
    const expected = /status of (400|401|404|412)/.test(message.text()); // answers that the tests ask for
    if (message.type() === 'error' && !expected) complaints.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => { if (!request.url().startsWith(origin + '/')) complaints.push(`asked ${request.url()}`); });
  return { page, complaints, origin };
}

/** One module that runs and one whose program is not there. */
const module = (image, settings = {}) => ({ version: '1.0', type: 'process', status: 'running', restartPolicy: 'always', settings: { image, createOptions: '{}', ...settings }, env: {} });
const manifest = {
  modulesContent: {
    $edgeAgent: { 'properties.desired': {
      schemaVersion: '1.1', runtime: { type: 'process', settings: {} },
      systemModules: { edgeAgent: { type: 'process', settings: { image: 'edgeAgent', createOptions: '{}' } }, edgeHub: module('edgeHub') },
      modules: { sleeper: module('/bin/sleep', { arguments: ['600'] }), missing: module('/no/such/program') },
    } },
    $edgeHub: { 'properties.desired': { schemaVersion: '1.1', routes: {}, storeAndForwardConfiguration: { timeToLiveSecs: 7200 } } },
  },
};

let shots = 0;
async function picture(page, name) {
  const dir = process.env.SCREENSHOTS;
  if (!dir) return;
  mkdirSync(dir, { recursive: true });
  const number = String(++shots).padStart(2, '0');
  for (const [kind, width, scheme] of [['wide', 1280, 'light'], ['narrow', 400, 'dark']]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 860 });
    await page.screenshot({ path: path.join(dir, `${number}-${name}-${kind}.png`), fullPage: true });
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1280, height: 860 });
}

async function device(t, hub, id) {
  const { connectionString } = await hub.createDevice(id);
  const client = deviceSdk.Client.fromConnectionString(connectionString, mqttSdk.Mqtt);
  t.after(() => client.close().catch(() => {}));
  await client.setOptions({ ca: hub.ca });
  return client;
}

function reading(body, properties = {}) {
  const message = new deviceSdk.Message(JSON.stringify(body));
  message.contentType = 'application/json';
  message.contentEncoding = 'utf-8';
  for (const [name, value] of Object.entries(properties)) message.properties.add(name, value);
  return message;
}

async function signIn(hub, page) {
  const printed = await run('nacelle', ['console', '--hub', hub.dir, '--json']);
  assert.equal(printed.code, 0, printed.stderr);
  const { url } = JSON.parse(printed.stdout);
  assert.ok(url.startsWith(`https://localhost:${hub.ready.https}/console/#connect=`));
  await page.goto(url);
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
}

const tile = (page, name) => page.locator('.tile', { hasText: name }).locator('b');
/** Until the locator's text fits. */
async function reads(locator, pattern) {
  await locator.filter({ hasText: pattern }).first().waitFor();
}

test('an operator watches the fleet and works on a device', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const engine = await device(t, hub, 'Client_001');
  await hub.createDevice('Client_002');
  const edge = await hub.createDevice('edge1', { capabilities: { iotEdge: true } });
  const { page, complaints, origin } = await browse(t, hub);
  let sending;
  let stopped = false;
  t.after(() => { stopped = true; });

  await t.test('a browser that asks for the hub is led to the console, and outside nothing is shown', async () => {
    await page.goto(origin + '/');
    assert.equal(page.url(), origin + '/console/');
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    assert.equal(await page.getByRole('navigation').count(), 0);
    await picture(page, 'sign-in');
  });

  await t.test('the link signs in, and the key does not stay in the address', async () => {
    await signIn(hub, page);
    assert.equal(page.url(), origin + '/console/#/');
    assert.ok(!(await page.content()).includes(hub.parts.SharedAccessKey));
    await reads(tile(page, 'devices connected'), '0 / 3');
  });

  await t.test('devices become connected, and rates rise as they send', async () => {
    await engine.open();
    await reads(tile(page, 'devices connected'), '1 / 3');
    const next = random(7);
    sending = (async () => {
      for (let cycle = 1; !stopped; ++cycle) {
        const body = { CycleTime: cycle, OperationalSetting1: next(), Sensor1: 518.67 + next(), Sensor2: 642 + cycle / 50 + next() };
        await engine.sendEvent(reading(body, { shift: 'night' }));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    await reads(tile(page, 'messages acked / s'), /[1-9]/);
    const acked = (await hub.rest('GET', '/statistics/messages')).body.acked;
    assert.ok(acked > 0);
    await page.locator('.chart canvas').first().waitFor();
    await picture(page, 'overview');
  });

  await t.test('the list tells sending from silent, filters, and says what is wrong with a condition', async () => {
    await page.getByRole('link', { name: 'Devices', exact: true }).click();
    const row = (id) => page.getByRole('row', { name: new RegExp(id) });
    await reads(row('Client_001'), 'sending');
    await reads(row('Client_002'), 'disconnected');
    await reads(row('edge1'), 'edge');
    await picture(page, 'devices');
    await page.getByRole('searchbox', { name: 'Filter' }).fill("connectionState = 'Connected'");
    await row('Client_002').waitFor({ state: 'detached' });
    assert.equal(await row('Client_001').count(), 1);
    await page.getByRole('searchbox', { name: 'Filter' }).fill('tags.site ==');
    await reads(page.getByRole('alert'), /line 1, column/);
    await page.getByRole('searchbox', { name: 'Filter' }).fill('');
    await row('Client_002').waitFor();
  });

  await t.test('devices are made, disabled and deleted', async () => {
    await page.getByRole('button', { name: 'New device' }).click();
    await page.getByLabel('Device id').fill('pump/7');
    await page.getByRole('button', { name: 'Create', exact: true }).click();
    await reads(page.getByRole('alert'), /400/); // the hub's own sentence on the name
    await page.getByLabel('Device id').fill('pump-7');
    await page.getByRole('button', { name: 'Create', exact: true }).click();
    const made = page.getByRole('row', { name: /pump-7/ });
    await made.waitFor();
    await page.getByRole('checkbox', { name: 'Choose pump-7' }).check();
    await page.getByRole('button', { name: 'Disable', exact: true }).click();
    await reads(made, 'disabled');
    assert.equal((await hub.rest('GET', '/devices/pump-7')).body.status, 'disabled');
    await page.getByRole('checkbox', { name: 'Choose pump-7' }).check();
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await made.waitFor({ state: 'detached' });
    assert.equal((await hub.rest('GET', '/devices/pump-7')).status, 404);
    await page.locator('.failed').getByRole('button', { name: 'Dismiss' }).click();
  });

  await t.test('what a device sends is seen live, and stops when told to', async () => {
    await page.getByRole('link', { name: 'Client_001' }).click();
    await page.getByRole('heading', { name: 'Client_001' }).waitFor();
    const rows = page.locator('.events tbody tr');
    await rows.nth(5).waitFor();
    await page.getByRole('button', { name: 'Sensor2' }).click();
    assert.equal(await page.locator('.chart canvas').count(), 2, 'the first field and the one chosen');
    const first = await rows.first().textContent();
    await page.waitForFunction((old) => document.querySelector('.events tbody tr').textContent !== old, first);
    await picture(page, 'telemetry');
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('stopped').waitFor();
    await rows.first().getByRole('button').click();
    await reads(page.locator('.events pre'), /"shift": "night"/);
  });

  await t.test('a twin is edited against its etag', async () => {
    await page.getByRole('link', { name: 'Twin', exact: true }).click();
    await page.getByLabel('Tags').fill('{"site":"north","line":{"n":4}}');
    await page.getByLabel('Desired properties').fill('{"rate":5');
    assert.ok(await page.getByRole('button', { name: 'Save' }).isDisabled(), 'not while it is no JSON');
    await page.getByLabel('Desired properties').fill('{"rate":5}');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Twin saved').waitFor();
    const saved = (await hub.rest('GET', '/twins/Client_001')).body;
    assert.deepEqual(saved.tags, { site: 'north', line: { n: 4 } });
    assert.equal(saved.properties.desired.rate, 5);
    await picture(page, 'twin');

    // Another hand changes it between reading and saving: theirs stays, and the operator is told.
    await page.getByLabel('Tags').fill('{"site":"south"}');
    await hub.rest('PATCH', '/twins/Client_001', { tags: { owner: 'ann' } });
    await page.getByText('Someone else changed this twin').waitFor();
    await page.getByRole('button', { name: 'Save' }).click();
    await reads(page.getByRole('alert'), /412/);
    assert.equal((await hub.rest('GET', '/twins/Client_001')).body.tags.site, 'north');
    await page.getByRole('button', { name: 'Load the newer one' }).click();
    assert.match(await page.getByLabel('Tags').inputValue(), /"owner": "ann"/);
    await page.locator('.failed').getByRole('button', { name: 'Dismiss' }).click();
  });

  await t.test('a method is answered, a message arrives, and a device that is away is named', async () => {
    engine.onDeviceMethod('calibrate', (request, response) => { response.send(207, { got: request.payload }, () => {}); });
    const message = new Promise((resolve) => engine.on('message', (received) => engine.complete(received, () => resolve(received))));
    await page.getByRole('link', { name: 'Call and send' }).click();
    await page.getByLabel('Method').fill('calibrate');
    await page.getByLabel('Payload, JSON').fill('{"depth":3}');
    for (;;) { // onDeviceMethod tells nobody when its subscription is through
      await page.getByRole('button', { name: 'Call', exact: true }).click();
      const answer = await page.locator('form pre').textContent();
      if (answer.includes('207')) { assert.deepEqual(JSON.parse(answer), { status: 207, payload: { got: { depth: 3 } } }); break; }
      assert.match(answer, /404103/);
    }
    await page.getByLabel('Body').fill('open the valve');
    await page.getByLabel('Content type').fill('text/plain');
    await page.getByLabel('Properties, one name=value a line').fill('valve=7');
    await page.getByRole('button', { name: 'Send' }).click();
    const received = await message;
    assert.equal(received.data.toString(), 'open the valve');
    assert.equal(received.contentType, 'text/plain');
    assert.equal(received.properties.getValue('valve'), '7');
    await picture(page, 'call');
    await page.goto(origin + '/console/#/devices/Client_002/call');
    await page.getByLabel('Method').fill('calibrate');
    await page.getByRole('button', { name: 'Call', exact: true }).click();
    await reads(page.locator('form pre'), /404103/);
  });

  await t.test('all events are tailed', async () => {
    await page.getByRole('link', { name: 'Events', exact: true }).click();
    await page.locator('.events tbody tr', { hasText: 'Client_001' }).first().waitFor();
    await picture(page, 'events');
  });

  await t.test('routes show their health, and a sample says which take it', async () => {
    await page.getByRole('link', { name: 'Routes', exact: true }).click();
    await reads(page.getByRole('row', { name: /RulMessageRoute/ }), 'healthy');
    await page.getByLabel('Body').fill('{"PredictedRul":88}');
    await page.getByRole('button', { name: 'Test' }).click();
    const verdict = (route) => page.getByRole('listitem').filter({ hasText: route }).locator('.chip');
    await reads(verdict('RulMessageRoute'), /^matches$/);
    await reads(verdict('turbofanDeviceDataToStorage'), /^no$/);
    await picture(page, 'routes');
    await page.getByLabel('Properties', { exact: true }).fill('[1]');
    await page.getByRole('button', { name: 'Test' }).click();
    await reads(page.getByRole('alert'), /properties: expected an object/);
  });

  await t.test('deployments, configurations and jobs are listed', async () => {
    assert.equal((await hub.rest('POST', '/devices/edge1/applyConfigurationContent', manifest)).status, 204);
    const connection = `HostName=localhost:${hub.ready.https};DeviceId=edge1;SharedAccessKey=${edge.key}`;
    await Service.start(t, ['edge', '--data', folder(t), '--connection', connection, '--ca', hub.ready.ca, '--hub-mqtts', String(hub.ready.mqtts), '--mqtts', '0']);
    assert.equal((await hub.rest('PUT', '/configurations/line-a', { id: 'line-a', targetCondition: "tags.site = 'north'", priority: 10, content: { deviceContent: { 'properties.desired.fw': { v: 2 } } } })).status, 200);
    assert.equal((await hub.rest('PUT', '/jobs/v2/spring', { jobId: 'spring', type: 'scheduleUpdateTwin', updateTwin: { etag: '*', tags: { season: 'spring' } }, queryCondition: '*', startTime: null, maxExecutionTimeInSeconds: 60 })).status, 200);
    await page.getByRole('link', { name: 'Edge', exact: true }).click();
    await reads(page.getByRole('row', { name: /sleeper/ }), 'running');
    await reads(page.getByRole('row', { name: /missing/ }), /backoff|failed/);
    for (const word of ['connected', 'as deployed']) await page.locator('.chip', { hasText: new RegExp(`^${word}$`) }).waitFor();
    await picture(page, 'edge');
    await page.getByRole('link', { name: 'Configurations', exact: true }).click();
    await reads(page.getByRole('row', { name: /line-a/ }), "tags.site = 'north'");
    await page.getByRole('button', { name: 'line-a' }).click();
    await reads(page.locator('tbody pre'), /properties.desired.fw/);
    await picture(page, 'configurations');
    await page.getByRole('link', { name: 'Jobs', exact: true }).click();
    await reads(page.getByRole('row', { name: /spring/ }), 'completed');
    await page.getByRole('button', { name: 'spring' }).click();
    await page.locator('.outcome', { hasText: 'Client_002' }).waitFor();
    await picture(page, 'jobs');
    await page.goto(origin + '/console/#/devices/edge1/modules');
    await page.getByRole('heading', { name: 'Identities' }).waitFor();
    await page.getByRole('cell', { name: '$edgeHub' }).first().waitFor();
    await picture(page, 'modules');
  });

  await t.test('a tab that is loaded again is still signed in; signed out, nothing is left', async () => {
    await page.reload();
    await page.getByRole('heading', { name: 'edge1' }).waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length + localStorage.length), 0);
    await page.reload();
    await page.getByRole('button', { name: 'Sign in' }).waitFor();
  });
  stopped = true;
  await sending; // while there is a hub to answer
  assert.deepEqual(complaints, []);
});

test('a wrong key is refused by the hub, and a wrong text by the page', async (t) => {
  const hub = await Hub.start(t, folder(t));
  const { page, complaints, origin } = await browse(t, hub);
  await page.goto(origin + '/console/');
  const wrong = Buffer.alloc(32, 1).toString('base64');
  const tries = [
    [`HostName=localhost;SharedAccessKeyName=iothubowner;SharedAccessKey=${wrong}`, /The hub refused/],
    [hub.file.connectionString.replace('iothubowner', 'nobody'), /The hub refused/],
    [`HostName=localhost;DeviceId=d;SharedAccessKey=${wrong}`, /a device's connection string/],
    ['hello', /not a connection string/],
  ];
  for (const [text, reason] of tries) {
    await page.getByLabel('Service connection string').fill(text);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await reads(page.getByRole('alert'), reason);
    assert.equal(await page.getByRole('navigation').count(), 0);
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  }
  await page.goto(origin + '/console/#connect=' + encodeURIComponent(tries[0][0]));
  await page.reload();
  await page.getByLabel('Service connection string').fill(hub.file.connectionString);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  assert.deepEqual(complaints, []);
});

test('who may only read sees what that is, is told which right is missing, and changes nothing', async (t) => {
  const hub = await Hub.start(t, folder(t));
  await hub.createDevice('d1');
  const { page, complaints, origin } = await browse(t, hub);
  const open = async (policy) => {
    const { primaryKey } = (await hub.rest('GET', `/policies/${policy}/keys`)).body;
    await page.goto(origin + '/console/');
    await page.getByLabel('Service connection string').fill(`HostName=localhost;SharedAccessKeyName=${policy};SharedAccessKey=${primaryKey}`);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
  };
  const pages = page.getByRole('navigation', { name: 'Pages' });
  const main = page.getByRole('main');

  await open('registryRead');
  await reads(tile(page, 'devices connected'), '0 / 1');
  await reads(main, /The health of endpoints needs the right ServiceConnect/);
  for (const name of ['Events', 'Routes', 'Jobs']) {
    await pages.getByRole('link', { name }).click();
    await page.getByRole('heading', { name }).waitFor();
    await reads(main, /This page needs the right ServiceConnect, which the policy 'registryRead' has not/);
  }
  await pages.getByRole('link', { name: 'Configurations' }).click();
  await reads(main, /There are no configurations/);
  await pages.getByRole('link', { name: 'Devices' }).click();
  await main.getByRole('link', { name: 'd1' }).click();
  await page.getByRole('heading', { name: 'd1' }).waitFor();
  await reads(main, /This needs the right ServiceConnect/);
  await main.getByRole('button', { name: 'Disable' }).click();
  await reads(page.getByRole('alert'), /no right/);
  assert.equal((await hub.rest('GET', '/devices/d1')).body.status, 'enabled');
  await picture(page, 'read-only');
  await page.getByRole('button', { name: 'Sign out' }).click();

  await open('service');
  await reads(main, /Counts and rates need the right RegistryRead/);
  await pages.getByRole('link', { name: 'Configurations' }).click();
  await reads(main, /This page needs the right RegistryRead, which the policy 'service' has not/);
  await pages.getByRole('link', { name: 'Devices' }).click();
  await main.getByRole('link', { name: 'd1' }).waitFor(); // a query: either right will do
  assert.deepEqual(complaints, []);
});
