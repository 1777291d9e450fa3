// Who calls: the person behind sudo, and their home.
import { hostname } from 'node:os'
import { accountOf, systemFacts, userNumber } from '../base/system.ts'

export interface Caller {
  uid: number
  gid: number
  name: string
  home: string
  /** True when this process is root (by sudo or not). */
  root: boolean
  /** True when root was reached by sudo from another user. */
  sudo: boolean
}

/** The person behind this command: SUDO_USER's where sudo was used, else the process's own. */
export function whoCalls(env: NodeJS.ProcessEnv = process.env): Caller {
  const facts = systemFacts(env)
  const own = userNumber(facts)
  const root = facts.uid === 0
  const sudoUid = Number(env['SUDO_UID'])
  const sudo = root && env['SUDO_UID'] !== undefined && Number.isInteger(sudoUid) && sudoUid !== 0
  const uid = sudo ? sudoUid : own
  const entry = accountOf(facts, uid)
  return {
    uid,
    gid: entry?.gid ?? (sudo ? Number(env['SUDO_GID']) : (facts.gid ?? 0)),
    name: entry?.name ?? (sudo ? env['SUDO_USER'] : (env['USER'] ?? facts.user)) ?? String(uid),
    home: entry?.home ?? env['HOME'] ?? facts.home,
    root,
    sudo,
  }
}

/** `user@machine`, for the cluster's annotations. */
export function ownerOf(caller: Caller): string {
  return `${caller.name}@${hostname()}`
}

/** Root runs the helper: nothing of the caller's environment that Node would act on goes along. */
export function helperEnvironment(): NodeJS.ProcessEnv {
  const env = { ...process.env }
  for (const name of [
    'NODE_OPTIONS',
    'NODE_PATH',
    'NODE_EXTRA_CA_CERTS',
    'NODE_REPL_EXTERNAL_MODULE',
    'LD_PRELOAD',
    'LD_LIBRARY_PATH',
  ])
    delete env[name]
  return env
}
