// Which proxy lies before the API server when the kubeconfig names none: the environment's, by the rules kubectl has from
// Go's net/http (golang.org/x/net/http/httpproxy). @kubernetes/client-node knows the kubeconfig's `proxy-url` only.
import { IpAddress } from '../wire/address.ts'
import { contains, isCidr } from '../wire/cidr.ts'

/** The proxy's URL for `server`, from HTTPS_PROXY, HTTP_PROXY and NO_PROXY in either case. */
export function proxyFromEnvironment(server: string, env: Record<string, string | undefined>): string | undefined {
  const url = new URL(server)
  const name = url.protocol === 'https:' ? 'https_proxy' : 'http_proxy'
  const proxy = env[name.toUpperCase()] || env[name]
  if (!proxy || isExempt(url, env['NO_PROXY'] || env['no_proxy'] || '')) return undefined
  return proxy.includes('://') ? proxy : `http://${proxy}`
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
    if (isCidr(bare)) return address !== undefined && contains(bare, host)
    // `example.com` means the name and all below it, `.example.com` those below only.
    const suffix = bare.replace(/^\*(?=\.)/, '')
    return suffix.startsWith('.') ? host.endsWith(suffix) : host === suffix || host.endsWith(`.${suffix}`)
  })
}

function isLoopback(address: IpAddress): boolean {
  return contains(address.family === 4 ? '127.0.0.0/8' : '::1', address.toString())
}
