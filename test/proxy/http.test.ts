import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { endToEnd, mayAskProxy, readAbsolute, readAuthority, requestHeaders } from '../../src/proxy/http.ts'
import { pacFile } from '../../src/proxy/pac.ts'

describe('targets', () => {
  test('an authority has a host and a port', () => {
    assert.deepEqual(readAuthority('web.shop:8080'), { host: 'web.shop', port: 8080 })
    assert.deepEqual(readAuthority('[fd00::1]:443'), { host: 'fd00::1', port: 443 })
    assert.deepEqual(readAuthority('web', 80), { host: 'web', port: 80 })
    for (const wrong of [
      'web',
      ':80',
      'web:0',
      'web:65536',
      'web:80:80',
      'user@web:80',
      'a b:80',
      'web:80/x',
      '',
      'web:',
    ])
      assert.equal(readAuthority(wrong), undefined, wrong)
  })

  test('an absolute form keeps path and query as they were written', () => {
    assert.deepEqual(readAbsolute('http://web.shop:81/a/../b?x=%2f#y'), {
      ...{ host: 'web.shop', port: 81, authority: 'web.shop:81', path: '/a/../b?x=%2f' },
    })
    assert.equal(readAbsolute('HTTP://web')?.path, '/')
    assert.equal(readAbsolute('http://web?q')?.path, '/?q')
    for (const wrong of ['/x', 'https://web/', 'http://', 'http://u:p@web/', '*', 'ftp://web/', 'http:///x'])
      assert.equal(readAbsolute(wrong), undefined, wrong)
  })
})

describe('headers', () => {
  test('those of one hop are left out, also those that Connection names', () => {
    const raw = [
      'Connection',
      'close, X-Mine',
      'X-Mine',
      '1',
      'Proxy-Connection',
      'keep-alive',
      'Accept',
      'a',
      'TE',
      't',
    ]
    assert.deepEqual(endToEnd([...raw, 'Accept', 'b', 'Upgrade', 'h2c', 'Proxy-Authorization', 'x']), [
      ...['Accept', 'a', 'Accept', 'b'],
    ])
  })

  test('Connection cannot take away what frames or routes a message', () => {
    const raw = ['Connection', 'Content-Length, Host', 'Content-Length', '3', 'Host', 'h']
    assert.deepEqual(endToEnd(raw), ['Content-Length', '3', 'Host', 'h'])
  })

  const target = readAbsolute('http://web.shop/')!
  const head = (method: string, ...rawHeaders: string[]) => {
    const find = (name: string) => rawHeaders[rawHeaders.findIndex((one) => one.toLowerCase() === name) + 1]
    const framing = ['content-length', 'transfer-encoding'].filter((name) =>
      rawHeaders.some((one) => one.toLowerCase() === name),
    )
    return { method, rawHeaders, headers: Object.fromEntries(framing.map((name) => [name, find(name)])) }
  }

  test('the Host is the one of the target, whatever the client says', () => {
    assert.deepEqual(requestHeaders(head('GET', 'Host', 'other', 'Accept', '*/*'), target), [
      ...['Host', 'web.shop', 'Accept', '*/*'],
    ])
  })

  test('a body has one framing', () => {
    assert.deepEqual(requestHeaders(head('POST', 'Content-Length', '3'), target), [
      ...['Host', 'web.shop', 'Content-Length', '3'],
    ])
    const both = head('POST', 'Content-Length', '3', 'Transfer-Encoding', 'chunked')
    assert.deepEqual(requestHeaders(both, target), ['Host', 'web.shop', 'Transfer-Encoding', 'chunked'])
    assert.deepEqual(requestHeaders(head('POST'), target), ['Host', 'web.shop', 'Content-Length', '0'])
    assert.deepEqual(requestHeaders(head('GET'), target), ['Host', 'web.shop'])
  })
})

test('a page of another name, or one that asks across origins, is not answered', () => {
  const ask = (host: string | undefined, site?: string, origin?: string) => mayAskProxy({ host, site, origin }, 1080)
  assert.equal(ask('127.0.0.1:1080'), true)
  assert.equal(ask('localhost:1080', 'none'), true)
  assert.equal(ask('rebound.example:1080'), false, 'DNS rebinding')
  assert.equal(ask('127.0.0.1:1081'), false)
  assert.equal(ask(undefined), false)
  assert.equal(ask('127.0.0.1:1080', 'cross-site'), false, 'a script element')
  assert.equal(ask('127.0.0.1:1080', 'same-site'), false, 'another port of this machine')
  assert.equal(ask('127.0.0.1:1080', undefined, 'http://evil.example'), false)
})

describe('the PAC file', () => {
  const number = (address: string) => address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  const context = {
    isInNet: (host: string, base: string, mask: string) => {
      // 32 bits without a sign.
      const under = (value: number) => (value & number(mask)) >>> 0
      return under(number(host)) === under(number(base))
    },
    dnsDomainIs: (host: string, domain: string) => host.endsWith(domain),
  }
  const text = pacFile({
    ...{ address: '127.0.0.1:1080', clusterDomain: 'cluster.local', namespaces: ['shop', 'default'] },
    ranges: ['10.96.0.0/12', '10.244.0.0/16', 'fd00::/64'],
  })
  const find = (host: string): string =>
    runInNewContext(`${text};FindProxyForURL("", ${JSON.stringify(host)})`, context)
  const proxy = 'SOCKS5 127.0.0.1:1080; PROXY 127.0.0.1:1080'

  test('names and addresses of the cluster go through the proxy', () => {
    for (const host of [
      'web.shop.svc',
      'web.shop.svc.cluster.local',
      'WEB.SHOP.SVC.',
      '10.96.0.1',
      '10.111.255.255',
      '10.244.1.2',
    ])
      assert.equal(find(host), proxy, host)
    assert.equal(find('10-244-0-1.shop.pod'), proxy)
  })

  test('names that may be of either go through the proxy, and without it directly', () => {
    for (const host of ['web', 'web.shop', 'db-0.db.shop']) assert.equal(find(host), `${proxy}; DIRECT`, host)
  })

  test('the rest goes directly', () => {
    for (const host of [
      'www.example.com',
      'a.b.c.shop',
      '10.112.0.1',
      '127.0.0.1',
      'localhost',
      'x.localhost',
      '[fe80::1]',
    ])
      assert.equal(find(host), 'DIRECT', host)
  })

  test('a namespace that is called like a member of every object is none', () => {
    assert.equal(find('a.constructor'), 'DIRECT')
  })
})
