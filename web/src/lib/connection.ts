// Service connection strings, and the tokens they sign (azure-wire-facts 1.3, 2.12).

export interface Connection {
  hostName: string;
  policy: string;
  key: string;
}

/** Throws an Error that says what is wrong, without the key. */
export function parseConnection(text: string): Connection {
  const parts = new Map<string, string>();
  for (const part of text.trim().split(';')) {
    const at = part.indexOf('=');
    if (at > 0) parts.set(part.slice(0, at).trim(), part.slice(at + 1).trim());
  }
  if (parts.size === 0) throw new Error('This is not a connection string: expected HostName=..;SharedAccessKeyName=..;SharedAccessKey=..');
  if (parts.has('DeviceId')) throw new Error("This is a device's connection string; the console needs a service's, with SharedAccessKeyName.");
  const take = (name: string) => {
    const value = parts.get(name);
    if (!value) throw new Error(`The connection string has no ${name}.`);
    return value;
  };
  const connection = { hostName: take('HostName'), policy: take('SharedAccessKeyName'), key: take('SharedAccessKey') };
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(connection.key)) throw new Error('The SharedAccessKey is not base64.');
  return connection;
}

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

/** Signs `resource` as it stands; `expiry` in Unix seconds. */
export async function sign(resource: string, key: string, expiry: number, crypto: Crypto = globalThis.crypto): Promise<string> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const secret = await crypto.subtle.importKey('raw', bytesOf(key), algorithm, false, ['sign']);
  const signature = await crypto.subtle.sign('HMAC', secret, new TextEncoder().encode(`${resource}\n${expiry}`));
  return btoa(String.fromCharCode(...new Uint8Array(signature)));
}

export async function makeToken(connection: Connection, expiry: number, crypto?: Crypto): Promise<string> {
  const { hostName, policy, key } = connection;
  const signature = encodeURIComponent(await sign(hostName, key, expiry, crypto));
  return `SharedAccessSignature sr=${hostName}&sig=${signature}&se=${expiry}&skn=${encodeURIComponent(policy)}`;
}

/** What a device needs, of its registry document; nothing if it has no symmetric key. */
export function deviceConnectionString(hostName: string, device: { deviceId: string; authentication?: { symmetricKey?: { primaryKey?: string } } }): string {
  const key = device.authentication?.symmetricKey?.primaryKey;
  return key ? `HostName=${hostName};DeviceId=${device.deviceId};SharedAccessKey=${key}` : '';
}
