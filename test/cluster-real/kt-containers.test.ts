// Containers and kt on a real cluster. A container is a network namespace behind a masqueraded cable of the laptop, as
// Docker's bridge makes it, with the files and the capabilities of a container.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { realCluster, realMachine } from '../support/machine.ts'
import { missing } from '../support/programs.ts'
import { checkout } from '../support/readable.ts'

const cluster = realCluster()
const skip = 'missing' in cluster ? cluster.missing : missing('nft') || missing('setpriv')
const program = 'program' in cluster ? cluster.program : ''
const kt = join(checkout, 'bin/kt')
const NETWORK = 'kt-ctn'

const bridge = `set -e
ip netns add ${NETWORK}
ip link add ctn0 type veth peer name eth0 netns ${NETWORK}
ip addr add 172.30.9.1/24 dev ctn0; ip link set ctn0 up
ip -n ${NETWORK} addr add 172.30.9.2/24 dev eth0; ip -n ${NETWORK} link set eth0 up; ip -n ${NETWORK} link set lo up
ip -n ${NETWORK} route add default via 172.30.9.1
sysctl -qw net.ipv4.ip_forward=1
nft add table ip ktctn
nft 'add chain ip ktctn post { type nat hook postrouting priority 100; }'
nft add rule ip ktctn post ip saddr 172.30.9.0/24 oifname != ctn0 masquerade`

const remove = `ip netns del ${NETWORK}; ip link del ctn0; nft delete table ip ktctn; true`

/** What Docker leaves a container's root, and NET_ADMIN; no systemd, and a resolv.conf that cannot be renamed over. */
const capabilities = [
  ...[
    'chown',
    'dac_override',
    'fowner',
    'fsetid',
    'kill',
    'setgid',
    'setuid',
    'setpcap',
    'net_bind_service',
    'net_raw',
  ],
  ...['sys_chroot', 'mknod', 'audit_write', 'setfcap', 'net_admin'],
]
const container = `mount --make-rprivate / && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib/kt
cp /etc/resolv.conf /run/resolv.conf && mount --bind /run/resolv.conf /etc/resolv.conf
exec setpriv --bounding-set -all,${capabilities.map((one) => `+${one}`).join(',')} sh -c "$1"`

describe('containers', { skip }, () => {
  const laptop = realMachine(program, 'ctn')
  const root = (script: string) => laptop.run(['sh', '-c', script], { user: 'root' })
  const inside = (script: string) =>
    laptop.run(['ip', 'netns', 'exec', NETWORK, 'unshare', '-m', 'sh', '-c', container, 'sh', script], { user: 'root' })

  before(async () => {
    await root(remove)
    const made = await root(bridge)
    assert.equal(made.code, 0, made.stderr)
  })
  after(async () => {
    if (!skip) await root(remove)
  })

  test('kt up works in a container with NET_ADMIN, and kt down puts its files back', async () => {
    const { stdout, stderr } = await inside(`
      cp /etc/resolv.conf /run/before
      ${kt} up -n shop >&2 && curl -s -m 10 -o /dev/null -w '%{http_code}\\n' http://web/
      getent hosts www.example.com | wc -l
      ${kt} down >&2 && cmp /run/before /etc/resolv.conf && ip -o link | grep -c ': kt'`)
    assert.equal(stdout, '200\n1\n0\n', stderr)
  })

  test('a container beside a connected laptop reaches addresses and names of the cluster', async () => {
    const up = await laptop.kt(['up', '-n', 'shop'], { sudo: true })
    assert.equal(up.code, 0, up.stderr)
    try {
      // As Docker does, it has the resolvers of the laptop at the time of its start.
      const { stdout, stderr } = await inside(`
        curl -s -m 10 -o /dev/null -w '%{http_code}\\n' http://web.shop/
        curl -s -m 10 http://www.example.com/
        getent ahostsv4 web.shop.svc.cluster.local | grep -c STREAM`)
      assert.equal(stdout, '200\na public page\n1\n', stderr)
    } finally {
      await laptop.kt(['down'], { sudo: true })
    }
  })
})
