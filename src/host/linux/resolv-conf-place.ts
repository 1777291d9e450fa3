// Where our resolv.conf goes. A symbolic link is replaced, since what it leads to is another program's file. Only where its
// folder cannot be written, as with a read-only /etc, is the file behind the link written instead.
import { dirname } from 'node:path'
import type { Effects } from '../effects.ts'
import { HostError } from '../errors.ts'
import type { Before } from './actions.ts'

const NONE = 'connect with `kt up --dns none` (programs then find no names of the cluster)'

export interface ResolvConfPlace {
  /** Marks the file as ours. */
  owner: string
  /** The file behind the link; undefined for resolv.conf itself. */
  path?: string
  /** What is there now. */
  before: Before
}

/** Throws HostError where it can be seen beforehand that it cannot be written, or not be put back. */
export function findResolvConfPlace(owner: string, effects: Effects): ResolvConfPlace {
  const path = behindLink(effects)
  return { owner, path, before: snapshotOf(path ?? effects.paths.resolvConf, effects) }
}

function behindLink({ files, paths }: Effects): string | undefined {
  const folder = dirname(paths.resolvConf)
  if (files.isWritable(folder)) return undefined
  const target = files.linkTarget(paths.resolvConf)
  if (target === undefined) return undefined
  const link = `${paths.resolvConf} cannot be replaced, since ${folder} cannot be written, and`
  // Root must not write in a folder where another user may create links or remove files.
  if (!files.isOwnFolder(dirname(target)))
    throw new HostError(
      'resolv-conf',
      `${link} it leads to ${target}, in a folder that is not root's alone`,
      `let it lead to a file in a folder of root's; or ${NONE}`,
    )
  if (!files.isWritable(dirname(target)))
    throw new HostError(
      'resolv-conf',
      `${link} neither can the folder of ${target}, where it leads`,
      `mount one of them writable; or ${NONE}`,
    )
  return target
}

function snapshotOf(path: string, { files }: Effects): Before {
  try {
    return files.snapshot(path)
  } catch (error) {
    throw new HostError('resolv-conf', `${(error as Error).message}`, `look at what ${path} is; or ${NONE}`)
  }
}

/** Throws HostError when it cannot be written. */
export function installResolvConf(path: string, text: string, { files }: Effects): void {
  try {
    files.write(path, text)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const readOnly = code === 'EROFS'
    throw new HostError(
      'resolv-conf',
      `${path} cannot be replaced: ${readOnly ? `${dirname(path)} is on a read-only file system` : message}`,
      readOnly
        ? `mount it writable, or let ${path} be a link to a file that can be written; or ${NONE}`
        : `if it is immutable (lsattr ${path}): sudo chattr -i ${path}; or ${NONE}`,
    )
  }
}
