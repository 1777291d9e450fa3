// Actions on the machine, as data: they can be printed, compared in tests and kept in the journal. The actions that undo
// have a schema of their own, because a later process carries out what a journal says.
import * as z from 'zod/mini'
import { sample } from '../../wire/prefix.ts'
import type { Step } from '../machine.ts'

/** What was at a path before we came. */
export const Before = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('missing') }),
  z.strictObject({ kind: z.literal('symlink'), target: z.string() }),
  z.strictObject({
    kind: z.literal('file'),
    /** base64 */
    content: z.string(),
    mode: z.int(),
    uid: z.int(),
    gid: z.int(),
    mtimeMs: z.number(),
  }),
])
export type Before = z.infer<typeof Before>

/** A network interface: its name may be given to another one later, its index is not. */
const link = { name: z.string(), ifindex: z.int() }

export const UndoAction = z.discriminatedUnion('type', [
  /** Removes the TUN, if it is still there. The kernel does so by itself when its last descriptor closes. */
  z.strictObject({ type: z.literal('delete-link'), ...link }),
  /** Takes addresses and routes from the TUN, which stays. */
  z.strictObject({ type: z.literal('clear-link'), ...link }),
  z.strictObject({ type: z.literal('resolved-revert'), ...link }),
  /** `path`: the file behind the link that /etc/resolv.conf is, where that was written instead. */
  z.strictObject({
    type: z.literal('resolv-conf-restore'),
    owner: z.string(),
    path: z.optional(z.string()),
    before: Before,
  }),
  /** Removes the folder of the control socket and the socket in it. */
  z.strictObject({ type: z.literal('remove-run-folder'), uid: z.int() }),
])
export type UndoAction = z.infer<typeof UndoAction>

/** Our network interface. */
export interface Tun {
  name: string
  ifindex: number
}

export interface ResolvedLink {
  servers: string[]
  /** Names below these are asked here. */
  domains: string[]
  /** These complete single-label names, too. */
  searchDomains: string[]
}

export type DoAction =
  /** Lines of one `ip -batch`. */
  | { type: 'ip'; lines: string[] }
  /** `key` as sysctl(8) names it. */
  | { type: 'sysctl'; key: string; value: string }
  | ({ type: 'resolved-set'; name: string; ifindex: number } & ResolvedLink)
  /** `path` as that of `resolv-conf-restore`. */
  | { type: 'resolv-conf-install'; path?: string; text: string }
  | { type: 'make-run-folder'; uid: number; gid: number }
  /** Changes nothing: fails where the kernel sends what a range holds to another device than `name`. */
  | { type: 'check-routes'; name: string; routes: string[] }

export type LinuxStep = Step<DoAction, UndoAction>

/** An action as a person would type it; for tests, logs and `kt down`. */
export function describe(action: DoAction | UndoAction): string {
  switch (action.type) {
    case 'ip':
      return action.lines.map((line) => `ip ${line}`).join('\n')
    case 'sysctl':
      return `sysctl -w ${action.key}=${action.value}`
    case 'resolved-set': {
      const names = [...action.searchDomains, ...action.domains.map((name) => `~${name}`)]
      return [
        `resolvectl dns ${action.name} ${action.servers.join(' ')}`,
        `resolvectl domain ${action.name} ${names.join(' ')}`,
        ...['default-route', 'llmnr', 'mdns', 'dnssec', 'dnsovertls'].map(
          (what) => `resolvectl ${what} ${action.name} no`,
        ),
        'resolvectl flush-caches',
      ].join('\n')
    }
    case 'resolv-conf-install':
      return `write ${action.path ?? '/etc/resolv.conf'}:\n${action.text.replace(/^(?=.)/gm, '  ').trimEnd()}`
    case 'check-routes':
      return action.routes.map((route) => `ip route get ${sample(route)}`).join('\n')
    case 'make-run-folder':
      return `install -d -m 700 -o ${action.uid} -g ${action.gid} /run/kt/${action.uid}`
    case 'delete-link':
      return `ip link delete dev ${action.name}`
    case 'clear-link':
      return `ip link set dev ${action.name} down\nip address flush dev ${action.name}`
    case 'resolved-revert':
      return `resolvectl revert ${action.name}`
    case 'resolv-conf-restore':
      return `restore ${action.path ?? '/etc/resolv.conf'} (${action.before.kind})`
    case 'remove-run-folder':
      return `rm -r /run/kt/${action.uid}`
  }
}
