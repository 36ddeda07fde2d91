// Registers one device with the unmodified provisioning SDK and prints its state; what to do is JSON in the first argument.

import https from 'node:https';
import http from 'azure-iot-provisioning-device-http';
import mqtt from 'azure-iot-provisioning-device-mqtt';
import provisioning from 'azure-iot-provisioning-device';
import symmetric from 'azure-iot-security-symmetric-key';
import x509 from 'azure-iot-security-x509';

const settings = JSON.parse(process.argv[2]);
// The HTTP transport knows port 443 only: its connections go where the process's agent takes them.
const connect = https.globalAgent.createConnection.bind(https.globalAgent);
https.globalAgent.createConnection = (options, done) => connect({ ...options, port: settings.port }, done);

const overHttp = settings.transport === 'http';
const transport = overHttp ? new http.Http() : new mqtt.Mqtt();
const security = settings.x509 ? new x509.X509Security(settings.registrationId, settings.x509)
  : new symmetric.SymmetricKeySecurityClient(settings.registrationId, settings.key);
const host = overHttp ? 'localhost' : `localhost:${settings.port}`;
const client = provisioning.ProvisioningDeviceClient.create(host, settings.idScope, transport, security);
client.register((error, state) => {
  if (error) {
    console.error(String(error));
    process.exit(1);
  }
  console.log(JSON.stringify(state));
  process.exit(0);
});
