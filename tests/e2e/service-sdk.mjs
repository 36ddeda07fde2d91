// azure-iothub against a hub on a port of its own. The SDK knows port 443 and the system's trust only; what it lets one
// choose is the agent of its REST client, and that agent goes to the hub.

import https from 'node:https';
import iothub from 'azure-iothub';

export function agentOf(hub) {
  const agent = new https.Agent({ keepAlive: true, ca: hub.ca });
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options, done) => connect({ ...options, host: 'localhost', port: hub.ready.https }, done);
  return agent;
}

function directed(t, hub, client, rest) {
  const agent = agentOf(hub);
  t.after(() => agent.destroy());
  rest.setOptions({ http: { agent } });
  return client;
}

/** Of any policy's connection string; that of iothubowner if none is given. */
export function serviceClient(t, hub, connectionString = hub.file.connectionString) {
  const client = iothub.Client.fromConnectionString(connectionString);
  return directed(t, hub, client, client._restApiClient);
}

export function registryClient(t, hub, connectionString = hub.file.connectionString) {
  const registry = iothub.Registry.fromConnectionString(connectionString);
  return directed(t, hub, registry, registry._restApiClient);
}
