// Carries out actions. Undoing is written to be done again: what is already gone is no failure.
import type { Before, DoAction, ResolvedLink, UndoAction } from './actions.ts'
import type { Effects } from './effects.ts'
import { ipBatch, ipQuery } from './ip.ts'
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
      files.folder(paths.run, 0o755, 0, 0)
      return void files.folder(`${paths.run}/${action.uid}`, 0o700, action.uid, action.gid)
  }
}

/** Undoes one step. Returns a sentence if something else was left than what was there before. */
export async function revert(action: UndoAction, effects: Effects): Promise<string | undefined> {
  const { files, paths } = effects
  switch (action.type) {
    case 'delete-link':
      if (await isThere(action, effects)) await ipBatch(effects, [`link delete dev ${action.name}`])
      return
    case 'clear-link':
      if (await isThere(action, effects))
        await ipBatch(effects, [`link set dev ${action.name} down`, `address flush dev ${action.name}`])
      return
    case 'resolved-revert':
      return void (await effects.resolved.revertLink(action.ifindex))
    case 'resolv-conf-restore':
      return restore(action.path ?? paths.resolvConf, action.owner, action.before, effects)
    case 'remove-run-folder':
      files.remove(`${paths.run}/${action.uid}/control.sock`)
      return files.removeFolder(`${paths.run}/${action.uid}`) as undefined
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
