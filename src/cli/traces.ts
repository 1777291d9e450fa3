// What anybody can see of a kt that changed this machine and has not changed it back. The journal that says it for sure is
// for root alone.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { RESOLV_CONF_MARK } from '../base/resolv-conf-mark.ts'
import { controlFolder, RUN_FOLDER } from '../control/paths.ts'

/** The files that are looked at; tests have their own. */
export interface Places {
  run: string
  resolvConf: string
  /** Table of the network devices; proc_net_dev(5). */
  devices: string
}

const places: Places = { run: RUN_FOLDER, resolvConf: '/etc/resolv.conf', devices: '/proc/net/dev' }

/** In words, empty where there is nothing. While another user is connected only this user's own folder counts. */
export function tracesOf(uid: number, { run, resolvConf, devices }: Places = places): string[] {
  const found: string[] = []
  if (existsSync(controlFolder(uid, run))) found.push(controlFolder(uid, run))
  if (list(run).some((name) => name !== String(uid))) return found
  if (read(resolvConf).startsWith(RESOLV_CONF_MARK)) found.push(resolvConf)
  const device = /^\s*(kt\d+):/m.exec(read(devices))?.[1]
  if (device) found.push(device)
  return found
}

/** True if the network device is there, up or down. */
export function hasDevice(name: string, { devices }: Pick<Places, 'devices'> = places): boolean {
  return read(devices)
    .split('\n')
    .some((line) => line.trimStart().startsWith(`${name}:`))
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
