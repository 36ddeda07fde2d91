// AMQP: the unmodified azure-iothub Client (messages to devices, feedback, file notifications) and @azure/event-hubs (reading), against the
// hub's own ports, over TLS and over WebSocket.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { EventHubConsumerClient, earliestEventPosition, latestEventPosition } from '@azure/event-hubs';
import common from 'azure-iot-common';
import deviceSdk from 'azure-iot-device';
import mqttSdk from 'azure-iot-device-mqtt';
import iothub from 'azure-iothub';
import serviceWs from 'azure-iothub/dist/amqp_ws.js';
import WebSocket from 'ws';
import { Hub, connectionParts, folder, leadTo, run } from './harness.mjs';

after(() => setTimeout(() => process.exit(), 500).unref());

const { Message } = common;

/** Its promises hide the receiver in a result; its callbacks give it. */
const receiverOf = (client, which) => promisify(client[which].bind(client))();

let hub;
leadTo(() => hub);

async function policy(name) {
  const keys = await hub.rest('GET', `/policies/${name}/keys`);
  assert.equal(keys.status, 200);
  return keys.body;
}

/** A service client over AMQP as `name`, opened. */
async function service(t, name = 'service') {
  const { primaryKey } = await policy(name);
  const client = iothub.Client.fromConnectionString(
    `HostName=localhost:${hub.ready.amqps};SharedAccessKeyName=${name};SharedAccessKey=${primaryKey}`);
  t.after(() => client.close().catch(() => {}));
  await client.open();
  return client;
}

async function device(t, id) {
  const made = await hub.createDevice(id);
  const client = deviceSdk.Client.fromConnectionString(made.connectionString, mqttSdk.Mqtt);
  t.after(() => client.close().catch(() => {}));
  await client.setOptions({ ca: hub.ca });
  await client.open();
  client.key = made.key;
  return client;
}

/** Collects what a receiver gets, each completed, until `enough` of it. */
async function collect(receiver, enough) {
  const found = [];
  for (;;) {
    const [message] = await once(receiver, 'message');
    found.push(message);
    if (enough(found)) return found;
  }
}

test('a message to a device arrives, and its feedback comes back', async (t) => {
  hub = await Hub.start(t, folder(t));
  const client = await service(t);
  const receiver = await receiverOf(client, 'getFeedbackReceiver');
  const there = await device(t, 'dev-1');
  const message = new Message('turn down');
  message.ack = 'full';
  message.messageId = 'm-1';
  message.correlationId = '01234567-89ab-4def-8123-456789abcdef';
  message.contentType = 'text/plain';
  message.properties.add('level', 'a=b&c');
  const got = once(there, 'message');
  const feedback = collect(receiver, (found) => found.length === 1);
  await client.send('dev-1', message);
  const [arrived] = await got;
  assert.equal(arrived.data.toString(), 'turn down');
  assert.equal(arrived.messageId, 'm-1');
  assert.equal(arrived.correlationId, message.correlationId);
  assert.equal(arrived.properties.propertyList.find((one) => one.key === 'level').value, 'a=b&c');
  await there.complete(arrived);
  const [report] = await feedback;
  assert.equal(report.contentType, 'application/vnd.microsoft.iothub.feedback.json');
  const records = JSON.parse(report.data.toString());
  assert.equal(records.length, 1);
  assert.equal(records[0].originalMessageId, 'm-1');
  assert.equal(records[0].statusCode, 'Success');
  assert.equal(records[0].deviceId, 'dev-1');
});

test('what is accepted is in the queue, also after a kill; what cannot be is refused by its name', async (t) => {
  const dir = folder(t);
  hub = await Hub.start(t, dir);
  await hub.createDevice('quiet');
  const client = await service(t);
  for (let i = 0; i < 50; ++i) await client.send('quiet', new Message(`body ${i}`));
  await assert.rejects(client.send('quiet', new Message('one too many')), (error) => error.name === 'DeviceMaximumQueueDepthExceededError');
  await assert.rejects(client.send('nobody', new Message('lost')), (error) => error.name === 'DeviceNotFoundError');
  await client.close();
  const ports = hub.ready;
  await hub.service.kill('SIGKILL');
  hub = await Hub.start(t, dir, ports);
  assert.equal((await hub.rest('GET', '/devices/quiet')).body.cloudToDeviceMessageCount, 50);
});

test('policies without the right, and wrong keys, are refused', async (t) => {
  hub = await Hub.start(t, folder(t));
  const unauthorized = (error) => error.amqpError?.name === 'UnauthorizedError';
  for (const name of ['registryRead', 'registryReadWrite', 'device']) await assert.rejects(service(t, name), unauthorized, name);
  const wrong = iothub.Client.fromConnectionString(
    `HostName=localhost:${hub.ready.amqps};SharedAccessKeyName=service;SharedAccessKey=${Buffer.alloc(32).toString('base64')}`);
  await assert.rejects(wrong.open(), unauthorized);
  const metrics = await (await fetch(`http://127.0.0.1:${hub.ready.metrics}/metrics`)).text();
  assert.match(metrics, /nacelle_hub_refused_total\{by="amqp",reason="right"\} 3/);
  assert.match(metrics, /nacelle_hub_refused_total\{by="amqp",reason="signature"\} 1/);
});

test('a key that is changed ends the links that stood on it', async (t) => {
  hub = await Hub.start(t, folder(t));
  const client = await service(t);
  await receiverOf(client, 'getFeedbackReceiver');
  const gone = once(client, 'disconnect');
  assert.equal((await hub.rest('POST', '/policies/service/keys/regenerate', { key: 'primary' })).status, 200);
  await gone;
});

test('file notifications arrive', async (t) => {
  hub = await Hub.start(t, folder(t));
  const client = await service(t);
  const receiver = await receiverOf(client, 'getFileNotificationReceiver');
  const notified = collect(receiver, (found) => found.length === 1);
  const made = await hub.createDevice('camera');
  const settings = { port: hub.ready.https, connectionString: `HostName=localhost;DeviceId=camera;SharedAccessKey=${made.key}`, name: 'still.jpg', bytes: 6 };
  const upload = fileURLToPath(new URL('upload.mjs', import.meta.url));
  const uploaded = await run(process.execPath, [upload, JSON.stringify(settings)], { env: { ...process.env, NODE_EXTRA_CA_CERTS: hub.ready.ca } });
  assert.equal(uploaded.code, 0, uploaded.stderr);
  const [message] = await notified;
  const said = JSON.parse(message.data.toString());
  assert.equal(said.deviceId, 'camera');
  assert.equal(said.blobName, 'camera/still.jpg');
  assert.equal(said.blobSizeInBytes, 6);
});

test('the same over WebSocket', async (t) => {
  hub = await Hub.start(t, folder(t));
  const { primaryKey } = await policy('service');
  const client = iothub.Client.fromConnectionString(`HostName=localhost;SharedAccessKeyName=service;SharedAccessKey=${primaryKey}`, serviceWs.AmqpWs);
  t.after(() => client.close().catch(() => {}));
  await client.open();
  await hub.createDevice('dev-1');
  await client.send('dev-1', new Message('over WebSocket'));
  assert.equal((await hub.rest('GET', '/devices/dev-1')).body.cloudToDeviceMessageCount, 1);
});

// -- Events

async function eventsConnectionString() {
  const printed = await run('nacelle', ['events', 'connection-string', '--hub', hub.dir]);
  assert.equal(printed.code, 0, printed.stderr);
  return printed.stdout.trim();
}

/** Sends `count` readings of a device over HTTPS. */
async function readings(made, count, first = 0) {
  for (let i = first; i < first + count; ++i) {
    const sent = await hub.rest('POST', `/devices/${made.id}/messages/events`, JSON.stringify({ i }), {
      Authorization: hub.deviceToken(made.id, made.document), 'iothub-contenttype': 'application/json', 'iothub-contentencoding': 'utf-8',
      'iothub-messageid': `${made.id}:${i}`, 'iothub-app-level': 'high',
    });
    assert.equal(sent.status, 204);
  }
}

/** Reads until `enough`; the events, with their partition. */
async function read(client, startPosition, enough, partition, ownerLevel) {
  const found = [];
  let subscription;
  await new Promise((resolve, reject) => {
    const handlers = {
      processEvents: async (events, context) => {
        for (const event of events) found.push({ ...event, partition: context.partitionId });
        if (enough(found)) resolve();
      },
      processError: async (error) => reject(error),
    };
    const options = { startPosition, maxWaitTimeInSeconds: 1, ownerLevel };
    subscription = partition === undefined ? client.subscribe(handlers, options) : client.subscribe(partition, handlers, options);
  });
  await subscription.close();
  return found;
}

test('@azure/event-hubs reads the hub: partitions, places, consumer groups', async (t) => {
  hub = await Hub.start(t, folder(t));
  const one = await hub.createDevice('dev-1');
  await readings(one, 5);
  const text = await eventsConnectionString();
  assert.equal(connectionParts(text).SharedAccessKeyName, 'service');
  const client = new EventHubConsumerClient('$Default', text);
  t.after(() => client.close().catch(() => {}));

  const described = await client.getEventHubProperties();
  assert.deepEqual(described.partitionIds, ['0', '1', '2', '3']);
  const partitions = await Promise.all(described.partitionIds.map((id) => client.getPartitionProperties(id)));
  const filled = partitions.filter((each) => !each.isEmpty);
  assert.equal(filled.length, 1);
  const { partitionId, lastEnqueuedSequenceNumber: last } = filled[0];

  const all = await read(client, earliestEventPosition, (found) => found.length === 5);
  assert.deepEqual(all.map((event) => event.body.i), [0, 1, 2, 3, 4]);
  for (const event of all) {
    assert.equal(event.partition, partitionId);
    assert.equal(event.properties.level, 'high');
    assert.equal(event.contentType, 'application/json');
    assert.equal(event.systemProperties['iothub-connection-device-id'], 'dev-1');
    assert.equal(event.systemProperties['iothub-message-source'], 'Telemetry');
    assert.ok(Math.abs(event.enqueuedTimeUtc.getTime() - Date.now()) < 60_000);
  }
  assert.equal(all[4].sequenceNumber, last);

  // Behind an offset, from a sequence number on, from a time on, and from now on.
  const behind = await read(client, { offset: all[2].offset }, (found) => found.length === 2, partitionId);
  assert.deepEqual(behind.map((event) => event.body.i), [3, 4]);
  const from = await read(client, { sequenceNumber: all[3].sequenceNumber, isInclusive: true }, (found) => found.length === 2, partitionId);
  assert.deepEqual(from.map((event) => event.body.i), [3, 4]);
  const since = await read(client, { enqueuedOn: new Date(all[0].enqueuedTimeUtc.getTime() - 1000) }, (found) => found.length === 5, partitionId);
  assert.equal(since.length, 5);

  const other = new EventHubConsumerClient('reports', text);
  t.after(() => other.close().catch(() => {}));
  const news = read(other, latestEventPosition, (found) => found.length >= 2, partitionId);
  let sent = 5;  // what is sent before the reader is there, it does not see: so until it has seen two
  let over = false;
  news.then(() => { over = true; }, () => { over = true; });
  while (!over) await readings(one, 1, sent++);
  assert.ok((await news).every((event) => event.body.i >= 5));
});

test('a reader of a higher owner level takes a partition from one of a lower, over WebSocket too', async (t) => {
  hub = await Hub.start(t, folder(t));
  await readings(await hub.createDevice('dev-1'), 1);
  const text = await eventsConnectionString();
  const reader = (where = text, options = {}) => {
    const client = new EventHubConsumerClient('$Default', where, { retryOptions: { maxRetries: 0 }, ...options });
    t.after(() => client.close().catch(() => {}));
    return client;
  };
  const overWeb = text.replace(`:${hub.ready.amqps}`, `:${hub.ready.https}`);
  const first = reader(overWeb, { webSocketOptions: { webSocket: WebSocket } });  // to /$servicebus/websocket
  const one = (await read(first, earliestEventPosition, (found) => found.length === 1))[0];

  /** Reads on as the only reader of its level: once an event is there, `{ended}`, which fails when it may read no more. */
  const hold = async (client, ownerLevel) => {
    let ended;
    await new Promise((resolve, reject) => {
      const never = (found) => { if (found.length > 0) resolve(); return false; };
      ended = read(client, earliestEventPosition, never, one.partition, ownerLevel);
      ended.catch(reject);
    });
    return { ended };
  };
  const readOne = (ownerLevel) => read(reader(), earliestEventPosition, (found) => found.length === 1, one.partition, ownerLevel);
  const disconnected = (error) => error.code === 'ReceiverDisconnectedError';

  const low = await hold(first, 1);
  const lowEnds = assert.rejects(low.ended, disconnected);
  assert.equal((await readOne(2)).length, 1);
  await lowEnds;

  await hold(reader(), 5);
  await assert.rejects(readOne(4), disconnected);
  await assert.rejects(readOne(), disconnected);
});

test('keys that do not fit and policies without the right read nothing', async (t) => {
  hub = await Hub.start(t, folder(t));
  const good = await eventsConnectionString();
  const { primaryKey } = await policy('registryRead');
  const bad = [good.replace(/SharedAccessKey=[^;]+/, `SharedAccessKey=${Buffer.alloc(32, 1).toString('base64')}`),
    good.replace('SharedAccessKeyName=service', 'SharedAccessKeyName=registryRead').replace(/SharedAccessKey=[^;]+/, `SharedAccessKey=${primaryKey}`)];
  for (const text of bad) {
    const client = new EventHubConsumerClient('$Default', text, { retryOptions: { maxRetries: 0 } });
    t.after(() => client.close().catch(() => {}));
    await assert.rejects(client.getEventHubProperties(), (error) => error.code === 'UnauthorizedError' || /Unauthorized|not signed|no ServiceConnect/.test(error.message));
  }
});
