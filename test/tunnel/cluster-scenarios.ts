// The tunnel on a real cluster, run by test/cluster-real/tunnel.test.ts: KT_TEST_TUNNEL=1 with KUBECONFIG (and KUBECTL, if it is not on the PATH) of one that has namespace
// `shop` with the pods `web`: TCP 7 echoes, 19 sends for ever, UDP 7 echoes. From inside a laptop of that cluster.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { type ClusterShadow, createClusterShadow, kubectl, tunnelTo } from '../../bench/tunnel-cluster.ts'
import type { ConnectedTunnel } from '../../src/tunnel/index.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { Probe } from './compliance.ts'
import { echo, handler } from './listen-compliance.ts'

const skip = process.env.KT_TEST_TUNNEL ? undefined : 'KT_TEST_TUNNEL is not set'

for (const kind of ['agent', 'sshd'] as const) {
  describe(`port-forward to a shadow of kind ${kind}`, { skip, timeout: 120_000 }, () => {
    let shadow: ClusterShadow
    let tunnel: ConnectedTunnel
    let pods: IpAddress[]

    before(async () => {
      shadow = createClusterShadow(kind, 'shop', `tunnel-test-${kind}-${process.pid}`)
      pods = kubectl(['get', 'pods', '-n', 'shop', '-l', 'app=web', '-o', 'jsonpath={.items[*].status.podIPs[*].ip}'])
        .split(' ')
        .map((text) => IpAddress.parse(text))
      tunnel = await tunnelTo(shadow)
    })
    after(async () => {
      await tunnel?.close()
      shadow?.remove()
    })

    it('knows the pod’s resolver', () => {
      assert.match(tunnel.info.resolvConf ?? '', /^nameserver 10\.96\.0\.10$/m)
      assert.match(tunnel.info.resolvConf ?? '', /shop\.svc\.cluster\.local/)
    })

    it('echoes 16 MB to pods on both nodes, over both families', async () => {
      assert.ok(pods.some(({ family }) => family === 6))
      await Promise.all(
        pods.map(async (address) => {
          const probe = new Probe(tunnel, { address, port: 7 })
          await probe.event('open')
          const payload = Buffer.alloc(16e6, address.toString())
          await probe.send(payload)
          probe.stream.end()
          assert.equal(await probe.event('close'), 'close closed')
          assert.equal(probe.received, payload.length)
        }),
      )
    })

    it('is refused by a closed port', async () => {
      const probe = new Probe(tunnel, { address: pods[0], port: 4 })
      assert.equal(await probe.event('fail'), 'fail refused')
    })

    it('carries datagrams', { skip: kind === 'sshd' }, async () => {
      for (const size of [64, 1400, 8000]) {
        const payload = Buffer.alloc(size, 'datagram')
        const got = await new Promise<Buffer>((resolve, reject) => {
          const flow = tunnel.openDatagrams(
            { address: pods[0], port: 7 },
            { onDatagram: (answer) => resolve(Buffer.from(answer)), onFail: reject },
          )
          flow.send(payload)
        })
        assert.ok(got.equals(payload))
      }
    })

    it('notices that the pod is gone', async () => {
      // Not by force: a grace of 0 takes some kubelets (1.34.4, cgroupsPerQOS off) down with the pod.
      kubectl(['delete', 'pod', '-n', 'shop', '--grace-period=1', '--wait=false', shadow.pod])
      const { expected } = await tunnel.closed
      assert.equal(expected, false)
    })
  })
}

/** Runs in a pod: what a caller in the cluster sees. Prints one line of JSON. */
const CALLERS = {
  /** Echoes `bytes` on each of so many connections at once, and says whether all came back unchanged. */
  tcp: `
    const [, host, port, count, bytes] = process.argv
    const { createHash, randomBytes } = require('node:crypto')
    const data = randomBytes(Number(bytes))
    const hash = (of) => createHash('sha256').update(of).digest('hex')
    const one = () => new Promise((resolve) => {
      const got = []
      const socket = require('node:net').connect({ host, port, allowHalfOpen: true }, () => socket.end(data))
      socket.on('data', (chunk) => got.push(chunk))
      socket.on('error', (error) => resolve(error.code))
      socket.on('end', () => resolve(hash(Buffer.concat(got)) === hash(data) ? 'same' : 'changed ' + Buffer.concat(got).toString('latin1', 0, 40)))
    })
    Promise.all(Array.from({ length: Number(count) }, one)).then((all) => console.log(JSON.stringify([...new Set(all)])))`,
  http: `
    const [, host, port] = process.argv
    fetch('http://' + host + ':' + port).then((r) => r.text()).then((text) => console.log(JSON.stringify([text.trim()])), (error) => console.log(JSON.stringify([error.cause.code])))`,
  udp: `
    const [, host, port] = process.argv
    const socket = require('node:dgram').createSocket('udp4')
    socket.on('message', (payload) => { console.log(JSON.stringify([payload.toString()])); process.exit() })
    const send = () => socket.send('datagram', port, host)
    setInterval(send, 500)
    send()`,
}

describe('ports of an agent in the cluster', { skip, timeout: 120_000 }, () => {
  const PORTS = { http: 8080, udp: 7777, bare: 8081 }
  let shadow: ClusterShadow
  let tunnel: ConnectedTunnel
  let address: string
  let caller: string

  const run = promisify(execFile)
  const [program, ...first] = (process.env.KUBECTL ?? 'kubectl').split(' ')
  async function call(kind: keyof typeof CALLERS, ...args: (string | number)[]): Promise<string[]> {
    const command = ['exec', '-n', 'shop', 'db-0', '--', 'node', '-e', CALLERS[kind], address, ...args.map(String)]
    const { stdout } = await run(program, [...first, ...command])
    return JSON.parse(stdout) as string[]
  }
  const ip = (pod: string) => kubectl(['get', 'pod', '-n', 'shop', pod, '-o', 'jsonpath={.status.podIP}'])

  before(async () => {
    const web = kubectl(['get', 'service', '-n', 'shop', 'web', '-o', 'jsonpath={.spec.clusterIP}'])
    shadow = createClusterShadow('agent', 'shop', `tunnel-test-ports-${process.pid}`, {
      env: {
        KT_AGENT_PORTS: JSON.stringify([
          { port: PORTS.http, protocol: 'TCP', original: { host: web, port: 80 } },
          { port: PORTS.bare, protocol: 'TCP' },
          { port: PORTS.udp, protocol: 'UDP', original: { host: web, port: 7 } },
        ]),
      },
    })
    caller = ip('db-0')
    address = ip(shadow.pod)
    tunnel = await tunnelTo(shadow)
  })
  after(async () => {
    await tunnel?.close()
    shadow?.remove()
  })

  it('pass to the original what nobody has claimed', async () => {
    assert.match((await call('http', PORTS.http))[0], /web-/)
    assert.deepEqual(await call('udp', PORTS.udp), ['datagram'])
    assert.deepEqual(await call('tcp', PORTS.bare, 1, 100), ['ECONNRESET'])
  })

  it('bring connections here: 20 MB unchanged, 200 at once, the caller’s address; then the original again', async () => {
    const origins = new Set<string>()
    const listener = await tunnel.listen(
      PORTS.http,
      'TCP',
      handler({
        onStream(incoming) {
          origins.add(incoming.origin.address.toString())
          void echo(incoming)
        },
      }),
    )
    assert.deepEqual(await call('tcp', PORTS.http, 1, 20_000_000), ['same'])
    assert.deepEqual(await call('tcp', PORTS.http, 200, 10_000), ['same'])
    assert.deepEqual([...origins], [caller])
    await listener.close()
    assert.match((await call('http', PORTS.http))[0], /web-/)
  })

  it('bring datagrams here', async () => {
    const listener = await tunnel.listen(
      PORTS.udp,
      'UDP',
      handler({
        onDatagrams(incoming) {
          const flow = incoming.accept({
            onDatagram: (payload) => flow.send(Buffer.from(`here ${payload}`)),
            onFail() {},
          })
        },
      }),
    )
    assert.deepEqual(await call('udp', PORTS.udp), ['here datagram'])
    await listener.close()
  })

  it('reset a caller when the local program refuses', async () => {
    const listener = await tunnel.listen(PORTS.http, 'TCP', handler({}))
    assert.deepEqual(await call('tcp', PORTS.http, 1, 100), ['ECONNRESET'])
    await listener.close()
  })
})
