// Uploads one file with the unmodified device SDK; what to do is JSON in the first argument. Blob storage trusts the process's
// roots only: run it with NODE_EXTRA_CA_CERTS.

import https from 'node:https';
import { Readable } from 'node:stream';
import deviceSdk from 'azure-iot-device';
import mqttSdk from 'azure-iot-device-mqtt';

const settings = JSON.parse(process.argv[2]);
// The SDK asks at port 443 for the grant: its connections go where this agent takes them.
const agent = new https.Agent({ keepAlive: true });
const connect = agent.createConnection.bind(agent);
agent.createConnection = (options, done) => connect({ ...options, host: 'localhost', port: settings.port }, done);

const client = deviceSdk.Client.fromConnectionString(settings.connectionString, mqttSdk.Mqtt);
client.setOptions({ http: { agent } }, () => {});
const bytes = Buffer.alloc(settings.bytes, 'x');
client.uploadToBlob(settings.name, Readable.from(bytes), bytes.length, (error) => {
  if (error) console.error(String(error));
  process.exit(error ? 1 : 0);
});
