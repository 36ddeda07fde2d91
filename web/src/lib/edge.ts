// What an edge device's $edgeAgent was told and what it reports (azure-wire-facts 5.5).
import type { Hub } from './hub';
import { isObject, type Json, type JsonObject } from './json';

export interface ModuleState {
  name: string;
  image: string;
  wanted: string; // desired status; empty if it is no longer wanted
  state: string; // runtimeStatus; empty if nothing was reported
  detail: string;
  restarts: number;
  exitCode: number | null;
  started: string;
}
export interface Deployment { code: number | null; description: string; current: boolean; modules: ModuleState[] }

const at = (value: Json | undefined, ...path: string[]): Json | undefined => path.reduce<Json | undefined>((from, name) => (isObject(from) ? from[name] : undefined), value);
const text = (value: Json | undefined) => (typeof value === 'string' ? value : '');

export function deploymentOf(twin: JsonObject): Deployment {
  const desired = at(twin, 'properties', 'desired');
  const reported = at(twin, 'properties', 'reported');
  const modules: ModuleState[] = [];
  for (const group of ['systemModules', 'modules']) {
    const wanted = at(desired, group), seen = at(reported, group);
    const names = new Set([...Object.keys(isObject(wanted) ? wanted : {}), ...Object.keys(isObject(seen) ? seen : {})]);
    for (const name of [...names].filter((one) => !one.startsWith('$')).sort()) {
      const want = at(wanted, name), see = at(seen, name), exit = at(see, 'exitCode'), restarts = at(see, 'restartCount');
      modules.push({
        name: group === 'systemModules' ? `$${name}` : name,
        image: text(at(see, 'settings', 'image')) || text(at(want, 'settings', 'image')),
        wanted: isObject(want) ? text(at(want, 'status')) || 'running' : '',
        state: text(at(see, 'runtimeStatus')),
        detail: text(at(see, 'statusDescription')),
        restarts: typeof restarts === 'number' ? restarts : 0,
        exitCode: typeof exit === 'number' ? exit : null,
        started: text(at(see, 'lastStartTimeUtc')),
      });
    }
  }
  const code = at(reported, 'lastDesiredStatus', 'code');
  return {
    code: typeof code === 'number' ? code : null,
    description: text(at(reported, 'lastDesiredStatus', 'description')),
    current: at(reported, 'lastDesiredVersion') === at(desired, '$version'),
    modules,
  };
}

export function tone(state: string): 'good' | 'bad' | 'wait' | 'idle' {
  if (state === 'running' || state === 'healthy' || state === 'completed') return 'good';
  if (['failed', 'unhealthy', 'dead', 'cancelled'].includes(state)) return 'bad';
  if (['backoff', 'degraded', 'scheduled', 'queued', 'enqueued', 'starting'].includes(state)) return 'wait';
  return 'idle';
}

/** Edge devices whose runtime is there: it connects as its modules, not as the device. */
export async function connectedEdges(hub: Hub): Promise<Set<string>> {
  const { rows } = await hub.query<{ deviceId: string }>("SELECT deviceId FROM devices.modules WHERE connectionState = 'Connected' AND moduleId IN ['$edgeAgent', '$edgeHub']");
  return new Set(rows.map((row) => row.deviceId));
}
