// Which proxy lies before the API server when the kubeconfig names none: the environment's, by the rules kubectl has from
// Go's net/http (golang.org/x/net/http/httpproxy).
import { IpAddress } from '../wire/address.ts'
import { contains, isCidr } from '../wire/cidr.ts'
import { ClusterError } from './calls.ts'

const SCHEMES = ['http', 'https', 'socks5', 'socks5h', 'socks4', 'socks4a']

/** The proxy's URL for `server`, from HTTPS_PROXY, HTTP_PROXY and NO_PROXY in either case. */
export function proxyFromEnvironment(server: string, env: Record<string, string | undefined>): string | undefined {
  const url = new URL(server)
  const name = url.protocol === 'https:' ? 'https_proxy' : 'http_proxy'
  const proxy = (env[name.toUpperCase()] || env[name])?.trim()
  if (!proxy || isExempt(url, env['NO_PROXY'] || env['no_proxy'] || '')) return undefined
  // `proxy:3128` would be a URL of the scheme `proxy`.
  return /^[a-z0-9]+:\/\//i.test(proxy) ? proxy : `http://${proxy}`
}

/** `proxy`, unless it is none that can be used: then it throws ClusterError kubeconfig-invalid that begins with `what`. */
export function checkedProxy(proxy: string, what: string, hint: string): string {
  const shown = JSON.stringify(proxy.replace(/\/\/.*@/, '//'))
  const invalid = (why: string) => new ClusterError('kubeconfig-invalid', `${what} ${shown} ${why}`, hint)
  if (!URL.canParse(proxy) || !new URL(proxy).hostname) throw invalid('is no URL')
  const scheme = new URL(proxy).protocol.slice(0, -1)
  if (!SCHEMES.includes(scheme)) throw invalid('is of another kind than http, https, socks5 or socks5h')
  return proxy
}

function isExempt(url: URL, noProxy: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  const address = IpAddress.tryParse(host)
  if (host === 'localhost' || (address && isLoopback(address))) return true
  return noProxy.split(',').some((entry) => {
    const rule = entry.trim().toLowerCase()
    if (rule === '') return false
    if (rule === '*') return true
    if (isCidr(rule)) return address !== undefined && contains(rule, host)
    const [, name, wantedPort] = /^(.*?)(?::(\d+))?$/.exec(rule)!
    if (wantedPort && wantedPort !== port) return false
    const bare = name.replace(/^\[|\]$/g, '')
    if (bare === '') return false // `:443` exempts nothing
    if (isCidr(bare)) return address !== undefined && contains(bare, host)
    // `example.com` means the name and all below it, `.example.com` those below only.
    const suffix = bare.replace(/^\*(?=\.)/, '')
    return suffix.startsWith('.') ? host.endsWith(suffix) : host === suffix || host.endsWith(`.${suffix}`)
  })
}

function isLoopback(address: IpAddress): boolean {
  return contains(address.family === 4 ? '127.0.0.0/8' : '::1', address.toString())
}
