// What an HTTP proxy does with a request before and after it is sent on: reads its target, and leaves out what is meant
// for the next hop only. Pure. Node's strict parser has read the message, and its writer frames it anew, so that no
// doubtful framing of a client ever reaches a server.

export interface HttpTarget {
  /** A name, or an address in text, without brackets. */
  host: string
  port: number
}

/** `host:port` or `[address]:port`, as in CONNECT (RFC 9112 3.2.3) and in URLs, where the port may be missing. */
export function readAuthority(text: string, defaultPort?: number): HttpTarget | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/?#@[\]\\]{1,255}))(?::(\d{1,5}))?$/.exec(text)
  if (!match) return undefined
  const port = match[3] === undefined ? defaultPort : Number(match[3])
  if (port === undefined || port < 1 || port > 65535) return undefined
  return { host: match[1] ?? match[2], port }
}

export interface AbsoluteTarget extends HttpTarget {
  /** As it was written: for the Host header. */
  authority: string
  /** Path and query, as they were written. */
  path: string
}

/** The absolute form of a request (RFC 9112 3.2.2). Undefined for anything else. */
export function readAbsolute(url: string): AbsoluteTarget | undefined {
  const match = /^http:\/\/([^/?#]+)([^#]*)/i.exec(url)
  const target = match && readAuthority(match[1], 80)
  if (!match || !target) return undefined
  const path = match[2]
  return { ...target, authority: match[1], path: path.startsWith('/') ? path : `/${path}` }
}

// RFC 9110 7.6.1, and what older clients send to proxies. Transfer-Encoding is written anew by who sends it on.
const HOP_BY_HOP = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'proxy-authorization',
  'proxy-authenticate',
  'proxy-authentication-info',
])
/** Headers that frame or route the message, which a Connection header cannot take away. */
const KEPT = new Set(['content-length', 'host', 'expect'])

/**
 * `raw`: names and values in turn, as Node gives and takes them. Without those of one hop, and without those that the
 * Connection header names. `leaveOut`: in lower case.
 */
export function endToEnd(raw: readonly string[], leaveOut: readonly string[] = []): string[] {
  const named = new Set<string>(leaveOut)
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i].toLowerCase() !== 'connection') continue
    for (const token of raw[i + 1].split(',')) {
      const name = token.trim().toLowerCase()
      if (!KEPT.has(name)) named.add(name)
    }
  }
  const kept: string[] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i].toLowerCase()
    if (!HOP_BY_HOP.has(name) && !named.has(name)) kept.push(raw[i], raw[i + 1])
  }
  return kept
}

export interface RequestHead {
  method: string
  rawHeaders: readonly string[]
  /** In lower case; of the framing only. */
  headers: { 'content-length'?: string; 'transfer-encoding'?: string }
}

/** The headers that the server gets. The Host is the target's, whatever the client's Host header said (RFC 9112 3.2.2). */
export function requestHeaders({ method, rawHeaders, headers }: RequestHead, { authority }: AbsoluteTarget): string[] {
  const isChunked = headers['transfer-encoding'] !== undefined
  const kept = endToEnd(rawHeaders, isChunked ? ['host', 'content-length'] : ['host'])
  const framing = isChunked ? ['Transfer-Encoding', 'chunked'] : []
  // Without it, a server would wait for a body of a method that has one as a rule.
  const none = !isChunked && headers['content-length'] === undefined && ['POST', 'PUT', 'PATCH'].includes(method)
  return ['Host', authority, ...kept, ...framing, ...(none ? ['Content-Length', '0'] : [])]
}

export interface PacQuestion {
  host: string | undefined
  site: string | undefined
  origin: string | undefined
}

/**
 * May this request to the proxy itself be answered? A page of another name that resolves to 127.0.0.1 (DNS rebinding) is
 * seen by its Host, and one that asks across origins by what its browser adds (Fetch Metadata).
 */
export function mayAskProxy({ host, site, origin }: PacQuestion, port: number): boolean {
  if (host === undefined || ![`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`].includes(host)) return false
  return origin === undefined && (site === undefined || site === 'none' || site === 'same-origin')
}
