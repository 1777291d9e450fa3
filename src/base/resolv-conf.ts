// The one reader of resolv.conf(5) for the whole program: this machine's, systemd-resolved's and a pod's. It takes what glibc
// takes (resolv/res_init.c), since that is what programs beside kt see, and never throws: the file is another program's. Pure.
import { isIPv6 } from 'node:net'

export interface ResolvConf {
  /** Addresses in their usual form, at most three as with glibc (MAXNS); one of IPv6 may have a zone: `fe80::1%eth0`. */
  nameservers: string[]
  /** Lower case, without final dots; the root is left out. */
  search: string[]
  /** What a person should know: lines that were skipped, a sentence each. */
  notes: string[]
}

/** resolv.conf(5): who is asked when the file names nobody, or is not there. */
const DEFAULT_NAMESERVER = '127.0.0.1'
const MAX_NAMESERVERS = 3
// glibc has no limit since 2.26. Each entry is tried for each name, so a list that long is no list.
const MAX_SEARCH = 256
/** What is shown of a line that was skipped. */
const MAX_SHOWN = 60

/** `file` is what the notes call it. */
export function parseResolvConf(text: string, file = '/etc/resolv.conf'): ResolvConf {
  const conf: ResolvConf = { nameservers: [], search: [], notes: [] }
  const skipped: string[] = []
  for (const { keyword, values } of resolvConfLines(text)) {
    if (keyword === 'nameserver') {
      const address = nameserverAddress(values[0] ?? '')
      if (address === undefined) skipped.push(shown(`nameserver ${values[0] ?? ''}`))
      else if (conf.nameservers.length < MAX_NAMESERVERS) conf.nameservers.push(address)
    } else if (keyword === 'search') {
      // The last of several lines counts, `search` or `domain`. One without a value does not.
      if (values.length > 0) conf.search = domains(values)
    } else if (keyword === 'domain') {
      if (values.length > 0) conf.search = domains(values.slice(0, 1))
    }
  }
  if (skipped.length > 0) {
    const more = skipped.length > 1 ? ` (and ${skipped.length - 1} more)` : ''
    conf.notes.push(`${file}: the line ${skipped[0]}${more} is skipped, since it names no address`)
  }
  return conf
}

/** Who is asked: the file's servers, or those of a file that names none. */
export function nameserversInUse({ nameservers }: Pick<ResolvConf, 'nameservers'>): string[] {
  return nameservers.length > 0 ? nameservers : [DEFAULT_NAMESERVER]
}

export interface ResolvConfLine {
  keyword: string
  values: string[]
  /** Without what ends it. */
  text: string
}

/**
 * The lines that count. As in glibc, the keyword starts the line and is followed by a blank, and a NUL octet ends what is
 * read of a line. Beyond glibc, a file with CR LF is read as it was meant, and a comment may follow the values.
 */
export function resolvConfLines(text: string): ResolvConfLine[] {
  return text.split('\n').flatMap((raw) => {
    const line = raw.split('\0', 1)[0].replace(/[\r\t ]+$/, '')
    const [keyword, ...words] = line.split(/[\t ]+/)
    const comment = words.findIndex((word) => word.startsWith('#') || word.startsWith(';'))
    return /^[a-z]+$/.test(keyword)
      ? [{ keyword, values: comment < 0 ? words : words.slice(0, comment), text: line }]
      : []
  })
}

function domains(values: string[]): string[] {
  return values
    .slice(0, MAX_SEARCH)
    .map((domain) => domain.toLowerCase().replace(/\.$/, ''))
    .filter((domain) => /^[^\s\p{C}]+$/u.test(domain))
}

/** The address as inet_pton(3) writes it; undefined for what glibc would skip. */
function nameserverAddress(text: string): string | undefined {
  const v4 = inetAton(text)
  if (v4 !== undefined) return v4
  const [address, zone] = text.split('%', 2)
  if (!isIPv6(address)) return undefined
  return zone !== undefined && /^[\w.:@-]{1,64}$/.test(zone) ? `${address}%${zone}` : address
}

/** inet_aton(3): one to four numbers, decimal, octal or hexadecimal, the last of which fills the rest of the address. */
function inetAton(text: string): string | undefined {
  const parts = text.split('.')
  if (parts.length > 4 || !parts.every((part) => /^(0x[\da-f]+|0[0-7]*|[1-9]\d*)$/i.test(part))) return undefined
  const numbers = parts.map((part) => Number(/^0\d/.test(part) ? `0o${part}` : part))
  const last = numbers.pop()!
  if (numbers.some((number) => number > 255) || last >= 256 ** (4 - numbers.length)) return undefined
  const address = numbers.reduce((sum, number, i) => sum + number * 256 ** (3 - i), last)
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')
}

/** Without what could move a terminal's cursor. */
function shown(line: string): string {
  const cut = line.length > MAX_SHOWN ? `${line.slice(0, MAX_SHOWN)}…` : line
  return `"${cut.replace(/[^\x20-\x7e…]/g, '?')}"`
}
