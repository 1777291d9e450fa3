// The account the engine runs as, and the environment it gets: that of a fresh login, not what sudo left of the caller's.
import { existsSync } from 'node:fs'
import type { Effects } from '../../host/effects.ts'
import { HelperError } from './errors.ts'

export interface Account {
  uid: number
  gid: number
  name: string
  home: string
  shell: string
  /** Ids of the supplementary groups. */
  groups: number[]
}

/** Looks the account up where the system does (getent: files, LDAP, ...). Throws HelperError. */
export async function lookUpAccount(uid: number, gid: number, user: string, effects: Effects): Promise<Account> {
  const fields = (await getent(user, effects)).trim().split('\n')[0].split(':')
  if (fields.length < 7 || Number(fields[2]) !== uid)
    throw new HelperError(
      'unknown-user',
      `there is no account ${user} with uid ${uid}`,
      'run kt as a user of this machine, or as root itself',
    )
  const [name, , , , , home, shell] = fields
  return { uid, gid, name, home: home || '/', shell: shell || '/bin/sh', groups: await groupsOf(name, effects) }
}

/** The account of a user id. Throws HelperError. */
export async function accountOf(uid: number, effects: Effects): Promise<Account> {
  const [name, , , gid] = (await getent(String(uid), effects)).trim().split('\n')[0].split(':')
  return lookUpAccount(uid, Number(gid), name, effects)
}

async function getent(user: string, effects: Effects): Promise<string> {
  try {
    return (await effects.run(['getent', 'passwd', user])).stdout
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    // Not every C library has getent.
    const lines = effects.files.read('/etc/passwd') ?? ''
    // A name has a letter in it, so a number is that of a user.
    const field = /^\d+$/.test(user) ? 2 : 0
    return lines.split('\n').find((line) => line.split(':')[field] === user) ?? ''
  }
}

/** As the system knows them (files, LDAP, ...). Without `id` there are none: less is permitted then, never more. */
async function groupsOf(name: string, effects: Effects): Promise<number[]> {
  try {
    const { stdout } = await effects.run(['id', '-G', name])
    return stdout.trim().split(/\s+/).map(Number).filter(Number.isInteger)
  } catch {
    return []
  }
}

const passedOn = /^(KT_LOG|NO_COLOR|LANG|LANGUAGE|LC_[A-Z]+|TZ|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY)$/

/** The engine's environment. Credential plugins of a kubeconfig are looked for in its PATH. */
export function loginEnvironment(account: Account, inherited: NodeJS.ProcessEnv): Record<string, string> {
  const { home, name, shell, uid } = account
  const system = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/local/games', '/usr/games', '/snap/bin']
  const own = [`${home}/.local/bin`, `${home}/bin`]
  const path = uid === 0 ? ['/usr/local/sbin', ...system, '/usr/sbin', '/sbin'] : [...own, ...system]
  const env: Record<string, string> = { HOME: home, USER: name, LOGNAME: name, SHELL: shell, PATH: path.join(':') }
  const runtime = `/run/user/${uid}`
  if (existsSync(runtime)) env['XDG_RUNTIME_DIR'] = runtime
  if (existsSync(`${runtime}/bus`)) env['DBUS_SESSION_BUS_ADDRESS'] = `unix:path=${runtime}/bus`
  for (const [key, value] of Object.entries(inherited)) if (value !== undefined && passedOn.test(key)) env[key] = value
  return env
}
