// The few files that a program in a shell sees otherwise than the rest of the machine: who is asked for names. Pure.
import { resolvConfLines } from '../../base/resolv-conf.ts'

/** A file as it is inside. */
export interface InsideFile {
  path: string
  content: string
  /** It must be there, or programs would ask somebody else for names. */
  required: boolean
}

/** Lines of resolv.conf(5) that hold inside as well. */
const KEPT = ['search', 'domain', 'options', 'sortlist']
/**
 * Sockets of resolvers outside, which answer without asking us: systemd-resolved's for nss-resolve, and nscd's. A file in
 * their place refuses connections, and then the C library asks DNS.
 */
const SOCKETS = ['/run/systemd/resolve/io.systemd.Resolve', '/run/nscd/socket', '/var/run/nscd/socket']
/** Sources of host names in nsswitch.conf(5) that are asked over such sockets, or over D-Bus. */
const ELSEWHERE = new Set([
  'resolve',
  'mymachines',
  'mdns',
  'mdns4',
  'mdns6',
  'mdns_minimal',
  'mdns4_minimal',
  'mdns6_minimal',
])

/** `read` is the text of a file of this machine, '' where there is none. */
export function filesInside(read: (path: string) => string, server: string): InsideFile[] {
  const nsswitch = read('/etc/nsswitch.conf')
  return [
    { path: '/etc/resolv.conf', content: resolvConfInside(read('/etc/resolv.conf'), server), required: true },
    { path: '/etc/nsswitch.conf', content: nsswitchInside(nsswitch), required: nsswitch !== '' },
    ...SOCKETS.map((path) => ({ path, content: '', required: false })),
  ]
}

/** Our server, and everything of the machine's file that is not a server. */
export function resolvConfInside(outside: string, server: string): string {
  const kept = resolvConfLines(outside)
    .filter(({ keyword }) => KEPT.includes(keyword))
    .map(({ text }) => text)
  return ['# this is inside of `kt shell`, whose names kt answers', `nameserver ${server}`, ...kept, ''].join('\n')
}

/** Without the sources that would not ask us, and with `dns`. */
export function nsswitchInside(outside: string): string {
  return outside
    .split('\n')
    .map((line) => {
      const match = /^(\s*hosts:)(.*?)(#.*)?$/.exec(line)
      return match ? `${match[1]} ${hostSources(match[2]).join(' ')}` : line
    })
    .join('\n')
}

function hostSources(text: string): string[] {
  const kept: string[] = []
  let skipped = false
  // An action in brackets belongs to the source before it; its words may have blanks between them.
  for (const word of text.match(/\[[^\]]*\]|[^\s[]+/g) ?? []) {
    const isAction = word.startsWith('[')
    if (!isAction) skipped = ELSEWHERE.has(word)
    if (!skipped) kept.push(word)
  }
  return kept.includes('dns') ? kept : [...kept, 'dns']
}
