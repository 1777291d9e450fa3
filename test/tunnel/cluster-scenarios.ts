// The tunnel on a real cluster, run by test/cluster-real/tunnel.test.ts: KT_TEST_TUNNEL=1 with KUBECONFIG (and KUBECTL, if it is not on the PATH) of one that has namespace
// `shop` with the pods `web`: TCP 7 echoes, 19 sends for ever, UDP 7 echoes. From inside a laptop of that cluster.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type ClusterShadow, createClusterShadow, kubectl, tunnelTo } from '../../bench/tunnel-cluster.ts'
import type { ConnectedTunnel } from '../../src/tunnel/index.ts'
import { IpAddress } from '../../src/wire/address.ts'
import { Probe } from './compliance.ts'

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
