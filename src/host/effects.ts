// Everything this folder does to the machine goes through here, so tests can count it, break it off and compare it.
import type { Before, ResolvedLink } from './linux/actions.ts'
import type { Follow } from './linux/follow.ts'

export interface CommandResult {
  code: number
  stdout: string
  stderr: string
}

/** Files, all synchronous and small. Absent files are undefined, other failures throw Node's errors. */
export interface Files {
  read(path: string): string | undefined
  /** The end of the chain of symbolic links, undefined if `path` is no link. */
  linkTarget(path: string): string | undefined
  /** Throws for what is neither a file nor a link, and for a file too large to be kept. */
  snapshot(path: string): Before
  /** Can files be made in that folder? */
  isWritable(folder: string): boolean
  /** May only this process's user, or root, make files in that folder? */
  isOwnFolder(folder: string): boolean
  /** Puts that state at the path, in one step where the file system allows it. Durable when it returns. */
  restore(path: string, state: Before): void
  /** Creates a file in one step, 0600; false if there is one. Durable when it returns. */
  create(path: string, text: string): boolean
  /** Replaces contents, keeping mode and owner where there is a file. Durable when it returns. */
  write(path: string, text: string): void
  /** Overwrites in place, for /proc. */
  poke(path: string, text: string): void
  remove(path: string): void
  list(folder: string): string[]
  /** Makes a folder and sets mode and owner. Throws if something else than a folder is there. */
  folder(path: string, mode: number, uid: number, gid: number): void
  removeFolder(path: string): void
}

/** systemd-resolved, over the system bus. */
export interface Resolved {
  /** True if it runs; never starts it. */
  answers(): Promise<boolean>
  /** Returns what it took: of too many domains the first. Rejects with HostError. */
  setLink(ifindex: number, link: ResolvedLink): Promise<ResolvedLink>
  /** What is set for a link; undefined while it does not answer. */
  link(ifindex: number): Promise<ResolvedLink | undefined>
  /** Does nothing if the link or resolved is gone. */
  revertLink(ifindex: number): Promise<void>
}

export interface Paths {
  resolvConf: string
  resolvedUplink: string
  /** Where systemd-resolved keeps the settings of links. */
  resolvedLinks: string
  /** /proc */
  proc: string
  /** /var/lib/kt */
  state: string
  /** /run/kt */
  run: string
}

export const systemPaths: Paths = {
  resolvConf: '/etc/resolv.conf',
  resolvedUplink: '/run/systemd/resolve/resolv.conf',
  resolvedLinks: '/run/systemd/resolve/netif',
  proc: '/proc',
  state: '/var/lib/kt',
  run: '/run/kt',
}

export interface Effects {
  readonly paths: Paths
  readonly files: Files
  readonly resolved: Resolved
  /** Runs a program found on root's usual path; never through a shell. Rejects only if it cannot be started. */
  run(argv: readonly string[], input?: string): Promise<CommandResult>
  /** Runs a program that tells of changes, as `run` does. */
  readonly follow: Follow
}
