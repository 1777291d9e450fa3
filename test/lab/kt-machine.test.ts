// Other programs of the machine get in kt's way while it is connected: what can be put back is, the rest is told by
// `kt status` and `kt check` while it lasts, and not a moment longer.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { until } from '../support/until.ts'
import { KtLab } from './kt-fixture.ts'

let kt: KtLab
before(async () => {
  kt = await KtLab.start()
  await kt.up()
})
after(() => kt?.[Symbol.asyncDispose]())

const sh = (command: string) => kt.machine.run(['sh', '-c', command], { user: 'root' })
const faults = async (): Promise<string[]> => (await kt.status()).faults.map(({ code }: { code: string }) => code)

test('the device is set down, loses its address, its routes: each is put back', async () => {
  assert.deepEqual(await faults(), [])
  const tun = (await kt.status()).tun.name
  for (const change of [
    `ip link set ${tun} down`,
    `ip address flush dev ${tun}`,
    `ip route flush dev ${tun}; ip -6 route flush dev ${tun}`,
  ]) {
    assert.equal((await sh(change)).code, 0, change)
    await kt.works()
    assert.deepEqual(await faults(), [], change)
  }
})

test('a rule that leads programs past kt is told by status and check, and gone when it is', async () => {
  const [range] = (await kt.status()).routes
  await sh(`ip rule add to ${range} blackhole priority 90`)
  assert.deepEqual(await faults(), ['route-lost'])
  const check = await kt.machine.kt(['check'])
  assert.match(check.stdout, new RegExp(`connection +failed +the cluster's range ${range.replaceAll('.', '\\.')}`))
  await sh('ip rule del priority 90')
  assert.deepEqual(await faults(), [])
})

test('nothing passes: `kt up` says so and takes everything back', async () => {
  await kt.down()
  await sh(
    'ip rule add from all uidrange 0-65535 to 10.0.0.0/8 dport 1 prohibit priority 90; ip -6 rule add to fd00::/8 dport 1 prohibit priority 90',
  )
  const { code, stderr } = await kt.machine.kt(['up'], { sudo: true })
  await sh('ip rule del priority 90; ip -6 rule del priority 90')
  assert.equal(code, 1, stderr)
  assert.match(
    stderr,
    /nothing that programs send reaches kt: this machine (does not permit it|says)[\s\S]*nft list ruleset/,
  )
  await kt.assertRestored()
  await kt.assertClusterClean()
  await kt.up()
})

test('programs find no names: `kt up` connects, and marks that as wrong', async () => {
  await kt.down()
  await sh('chmod 600 /etc/resolv.conf')
  const { code, stderr } = await kt.machine.kt(['up'], { sudo: true })
  await kt.machine.kt(['down'], { sudo: true })
  await sh('chmod 644 /etc/resolv.conf')
  await kt.assertRestored()
  assert.equal(code, 0, stderr)
  assert.match(stderr, /! programs +programs find no names of the cluster's/)
  assert.doesNotMatch(stderr, /✓ programs/)
  await kt.up()
})

test('a program that insists on its resolv.conf wins after three times, and the status tells', async () => {
  for (let i = 0; i < 3; i++) {
    await sh('echo nameserver 192.0.2.1 >/etc/resolv.conf')
    await until(
      'it is put back',
      async () => /# kt is connected/.test((await sh('cat /etc/resolv.conf')).stdout),
      5_000,
    )
  }
  await sh('cp /etc/resolv.conf /run/ours; echo nameserver 192.0.2.1 >/etc/resolv.conf')
  assert.deepEqual(await faults(), ['resolv-conf'])
  assert.match((await kt.machine.kt(['status'])).stdout, /fault +another program has rewritten \/etc\/resolv\.conf/)
  await sh('cat /run/ours >/etc/resolv.conf; rm /run/ours')
  assert.deepEqual(await faults(), [])
  await kt.works()
})
