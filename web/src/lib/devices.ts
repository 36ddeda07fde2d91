// What is done to devices, from the list and from a device's own page.
import { identityPath, type Hub } from './hub';
import type { JsonObject } from './json';

export async function setStatus(hub: Hub, device: string, status: 'enabled' | 'disabled') {
  const path = identityPath('devices', device);
  const document = await hub.get(path);
  await hub.call('PUT', path, { body: { ...document, status }, headers: { 'if-match': `"${document.etag}"` } });
}

export async function createDevice(hub: Hub, device: string, edge: boolean, scope: string) {
  const body: JsonObject = { deviceId: device, status: 'enabled', capabilities: { iotEdge: edge } };
  if (scope) body[edge ? 'parentScopes' : 'deviceScope'] = edge ? [scope] : scope;
  await hub.call('PUT', identityPath('devices', device), { body });
}

export const deleteDevice = (hub: Hub, device: string) => hub.call('DELETE', identityPath('devices', device), { headers: { 'if-match': '*' } });
