import assert from 'node:assert/strict'
import { test } from 'node:test'
import { proxyFromEnvironment } from '../../src/cluster/proxy.ts'

const server = 'https://api.dev.example.com:6443'
const proxy = 'http://proxy.example.com:3128'

const table: [string, string, Record<string, string>, string | undefined][] = [
  ['none', server, {}, undefined],
  ['upper case', server, { HTTPS_PROXY: proxy }, proxy],
  ['lower case', server, { https_proxy: proxy }, proxy],
  ['http server, https proxy', 'http://api:8080', { HTTPS_PROXY: proxy }, undefined],
  ['http server, http proxy', 'http://api:8080', { HTTP_PROXY: proxy }, proxy],
  ['no scheme', server, { HTTPS_PROXY: 'proxy:3128' }, 'http://proxy:3128'],
  ['socks', server, { HTTPS_PROXY: 'socks5://proxy:1080' }, 'socks5://proxy:1080'],
  ['loopback is never proxied', 'https://127.0.0.1:6443', { HTTPS_PROXY: proxy }, undefined],
  ['IPv6 loopback is never proxied', 'https://[::1]:6443', { HTTPS_PROXY: proxy }, undefined],
  ['localhost is never proxied', 'https://localhost:6443', { HTTPS_PROXY: proxy }, undefined],
  ['exempt: all', server, { HTTPS_PROXY: proxy, NO_PROXY: '*' }, undefined],
  ['exempt: the host', server, { HTTPS_PROXY: proxy, NO_PROXY: 'x, api.dev.example.com' }, undefined],
  ['exempt: a domain, those below it too', server, { HTTPS_PROXY: proxy, NO_PROXY: 'example.com' }, undefined],
  ['exempt: below a domain', server, { HTTPS_PROXY: proxy, no_proxy: '.example.com' }, undefined],
  ['not exempt: a name that only ends alike', server, { HTTPS_PROXY: proxy, NO_PROXY: 'ample.com' }, proxy],
  [
    'not exempt: the domain itself of .domain',
    'https://example.com',
    { HTTPS_PROXY: proxy, NO_PROXY: '.example.com' },
    proxy,
  ],
  ['exempt: host and port', server, { HTTPS_PROXY: proxy, NO_PROXY: 'example.com:6443' }, undefined],
  ['not exempt: another port', server, { HTTPS_PROXY: proxy, NO_PROXY: 'example.com:443' }, proxy],
  ['exempt: a CIDR', 'https://10.1.2.3:6443', { HTTPS_PROXY: proxy, NO_PROXY: '10.0.0.0/8' }, undefined],
  ['not exempt: outside the CIDR', 'https://11.1.2.3:6443', { HTTPS_PROXY: proxy, NO_PROXY: '10.0.0.0/8' }, proxy],
  ['exempt: an address', 'https://[fd00::1]:6443', { HTTPS_PROXY: proxy, NO_PROXY: 'fd00::1' }, undefined],
]

for (const [what, url, env, expected] of table)
  test(`proxy: ${what}`, () => assert.equal(proxyFromEnvironment(url, env), expected))
