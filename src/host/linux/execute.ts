// Carries out actions. An undo action may run twice: something that is already gone is no failure.
import { dirname } from 'node:path'
import { sample } from '../../wire/prefix.ts'
import type { Effects } from '../effects.ts'
import { HostError } from '../errors.ts'
import type { Before, DoAction, ResolvedLink, UndoAction } from './actions.ts'
import { ipBatch, ipQueries, ipQuery } from './ip.ts'
import { markedBy } from './resolv-conf.ts'
import { installResolvConf } from './resolv-conf-place.ts'

/** Returns what systemd-resolved took of its settings, where they were set. */
export async function perform(action: DoAction, effects: Effects): Promise<ResolvedLink | undefined> {
  const { files, paths } = effects
  switch (action.type) {
    case 'ip':
      await ipBatch(effects, action.lines)
      return
    case 'sysctl':
      return void files.poke(`${paths.proc}/sys/${action.key.split('.').join('/')}`, action.value)
    case 'resolved-set':
      return effects.resolved.setLink(action.ifindex, action)
    case 'resolv-conf-install':
      return void installResolvConf(action.path ?? paths.resolvConf, action.text, effects)
    case 'make-run-folder':
      return void makeRunFolder(effects, action)
    case 'check-routes':
      return void (await checkRoutes(effects, action))
  }
}

/** Other VPNs have tables of their own, and rules that put them before ours: only the kernel knows who wins. */
async function checkRoutes(effects: Effects, { name, routes }: DoAction & { type: 'check-routes' }): Promise<void> {
  const answers = await ipQueries<{ dev?: string; type?: string; table?: string }[]>(
    effects,
    routes.map((route) => `route get ${sample(route)}`),
  )
  routes.forEach((route, i) => {
    const got = answers[i]?.[0]
    if (got?.dev === name) return
    const device = got?.dev ?? got?.type ?? 'nothing'
    throw new HostError(
      'route-lost',
      `the cluster's range ${route} still goes to ${device}${got?.table ? ` by table ${got.table}` : ''}, whose rules come before kt's routes`,
      `\`ip rule\` shows whose they are: end that VPN, or leave the range to it (\`kt up --exclude ${route}\`)`,
    )
  })
}

function makeRunFolder({ files, paths }: Effects, { uid, gid }: { uid: number; gid: number }): void {
  try {
    files.folder(paths.run, 0o755, 0, 0)
    files.folder(`${paths.run}/${uid}`, 0o700, uid, gid)
  } catch (error) {
    if (typeof (error as NodeJS.ErrnoException).code !== 'string') throw error
    throw new HostError(
      'run-folder',
      `the folder of the control socket, ${paths.run}/${uid}, cannot be made: ${(error as Error).message}`,
      `make ${dirname(paths.run)} writable for root and see that ${paths.run} is a folder: \`ls -ld ${paths.run}\``,
    )
  }
}

/** Undoes one step. Returns a sentence if something else was left than what was there before. */
export async function revert(action: UndoAction, effects: Effects): Promise<string | undefined> {
  const { files, paths } = effects
  switch (action.type) {
    case 'delete-link':
      return void (await onLink(action, [`link delete dev ${action.name}`], effects))
    case 'clear-link':
      return void (await onLink(
        action,
        [`link set dev ${action.name} down`, `address flush dev ${action.name}`],
        effects,
      ))
    case 'resolved-revert':
      return void (await effects.resolved.revertLink(action.ifindex))
    case 'resolv-conf-restore':
      return restore(action.path ?? paths.resolvConf, action.owner, action.before, effects)
    case 'remove-run-folder':
      files.remove(`${paths.run}/${action.uid}/control.sock`)
      return files.removeFolder(`${paths.run}/${action.uid}`) as undefined
  }
}

/** Does nothing where the link is gone, also when it goes in this moment: its engine may be closing it. */
async function onLink(link: { name: string; ifindex: number }, lines: string[], effects: Effects): Promise<void> {
  if (!(await isThere(link, effects))) return
  try {
    await ipBatch(effects, lines)
  } catch (error) {
    if (await isThere(link, effects)) throw error
  }
}

async function isThere(link: { name: string; ifindex: number }, effects: Effects): Promise<boolean> {
  const found = await ipQuery<{ ifindex: number }[]>(effects, 'link', 'show', 'dev', link.name)
  return found?.[0]?.ifindex === link.ifindex
}

/** Restores byte for byte; a file that somebody else has written since stays. */
function restore(path: string, owner: string, before: Before, { files }: Effects): string | undefined {
  const now = files.read(path)
  const gone = now === undefined && files.linkTarget(path) === undefined
  if (!gone && (now === undefined || markedBy(now) !== owner)) {
    return isSame(files.snapshot(path), before)
      ? undefined
      : `${path} was rewritten by another program while kt was connected: its version stays`
  }
  files.restore(path, before)
  return undefined
}

/** Without the time: a restored one is rounded. */
function isSame(a: Before, b: Before): boolean {
  const strip = (state: Before) => JSON.stringify({ ...state, mtimeMs: 0 })
  return strip(a) === strip(b)
}
