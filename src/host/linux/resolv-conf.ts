// Our resolv.conf, which stands in the place of another one while connected. Pure.
import { resolvConfLines } from '../../base/resolv-conf.ts'
import { RESOLV_CONF_MARK } from '../../base/resolv-conf-mark.ts'

const KEPT = ['search', 'domain', 'options', 'sortlist']

/** The line that says whose file this is; `owner` is unique to one run of the helper. */
export function marker(owner: string): string {
  return RESOLV_CONF_MARK + owner
}

/** Whose marker the file bears, undefined if it is nobody's of kt. */
export function markedBy(text: string): string | undefined {
  const line = text.split('\n').find((candidate) => candidate.startsWith(RESOLV_CONF_MARK))
  return line?.slice(RESOLV_CONF_MARK.length).trim()
}

/** Our file: our servers, and everything of the old one that is not a server (search list, options, sort list). */
export function composeResolvConf(owner: string, servers: readonly string[], before: string): string {
  const kept = resolvConfLines(before)
    .filter(({ keyword }) => KEPT.includes(keyword))
    .map(({ text }) => text)
  return [marker(owner), ...servers.map((server) => `nameserver ${server}`), ...kept, ''].join('\n')
}
