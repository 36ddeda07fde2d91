import { webcrypto } from 'node:crypto'; // Node.js 18 has no global one
import { describe, expect, it } from 'vitest';
import { deviceConnectionString, makeToken, parseConnection, sign } from './connection';

const crypto = webcrypto as unknown as Crypto;
const key = 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=';

describe('sign', () => {
  // azure-wire-facts 1.3
  it.each([
    ['hub.example.net%2Fdevices%2Fdev1', 'ncXfJXbeyTiRLDz9kvk1ElOCiWr2fUvGO9PPFIYKEFA='],
    ['hub.example.net%2Fdevices%2Fedge1%2Fmodules%2Ffilter', 'U19arAJxcdiGeSq6hgwkWbRLYxRXz/iknKdOqjzo9U4='],
    ['hub.example.net', 'JsaJO5gTLF8mah9LxN0bGUcqp1KDFGr998P4Kix6V8A='],
    ['0ne00ABCDEF/registrations/reg1', 'Gz5d9GBqrwdDiACcyJYP0YsOaljTyV1XzJbc/pzZnTQ='],
  ])('gives the known signature of %s', async (resource, signature) => {
    expect(await sign(resource, key, 1893456000, crypto)).toBe(signature);
  });

  it('makes a whole token of a policy', async () => {
    const token = await makeToken({ hostName: 'hub.example.net', policy: 'iothubowner', key }, 1893456000, crypto);
    expect(token).toBe('SharedAccessSignature sr=hub.example.net&sig=JsaJO5gTLF8mah9LxN0bGUcqp1KDFGr998P4Kix6V8A%3D&se=1893456000&skn=iothubowner');
  });
});

describe('parseConnection', () => {
  it('takes the three parts in any order', () => {
    expect(parseConnection(` SharedAccessKey=${key};HostName=localhost;SharedAccessKeyName=service \n`)).toEqual({ hostName: 'localhost', policy: 'service', key });
  });
  it.each([
    ['', /not a connection string/],
    ['hello', /not a connection string/],
    [`HostName=h;DeviceId=d;SharedAccessKey=${key}`, /a device's connection string/],
    [`HostName=h;SharedAccessKey=${key}`, /no SharedAccessKeyName/],
    ['HostName=h;SharedAccessKeyName=service;SharedAccessKey=', /no SharedAccessKey/],
    ['HostName=h;SharedAccessKeyName=service;SharedAccessKey=se cret', /not base64/],
  ])('says what is wrong with %s', (text, reason) => {
    expect(() => parseConnection(text)).toThrow(reason);
  });
  it('never shows the key', () => {
    try { parseConnection('HostName=h;SharedAccessKeyName=service;SharedAccessKey=top-secret!'); } catch (error) { expect(String(error)).not.toContain('top-secret'); }
    expect.hasAssertions();
  });
});

describe('deviceConnectionString', () => {
  it('is empty for a device without a symmetric key', () => {
    expect(deviceConnectionString('h', { deviceId: 'd', authentication: {} })).toBe('');
    expect(deviceConnectionString('h', { deviceId: 'd', authentication: { symmetricKey: { primaryKey: key } } })).toBe(`HostName=h;DeviceId=d;SharedAccessKey=${key}`);
  });
});
