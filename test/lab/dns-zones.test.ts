import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rcodes, readQuestion, types, writeAnswer, writeName } from './dns-message.ts'
import { clusterZone, reverseName, worldZone } from './dns-zones.ts'

const zone = clusterZone()
const ask = (name: string, type: keyof typeof types) => zone(name, types[type])

function message(name: string, type: number, edns?: number): Buffer {
  const header = Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns ? 1 : 0])
  const opt = edns ? Buffer.from([0, 0, 41, edns >> 8, edns & 255, 0, 0, 0, 0, 0, 0]) : Buffer.alloc(0)
  return Buffer.concat([header, writeName(name), Buffer.from([0, type, 0, 1]), opt])
}

test('a service has its addresses, one a family', () => {
  const name = 'web.shop.svc.cluster.local'
  assert.deepEqual([...ask(name, 'A')!.answers[0].data], [10, 112, 0, 20])
  assert.equal(ask(name, 'AAAA')!.answers[0].data.toString('hex'), 'fd000112000000000000000000000014')
})

test('a headless service has all addresses of its pods, each pod a name, SRV one record a pod', () => {
  assert.equal(ask('db.shop.svc.cluster.local', 'A')!.answers.length, 2)
  assert.deepEqual([...ask('db-1.db.shop.svc.cluster.local', 'A')!.answers[0].data], [10, 111, 0, 21])
  assert.equal(ask('_http._tcp.db.shop.svc.cluster.local', 'SRV')!.answers.length, 2)
})

test('a name that is there without such records is an empty answer, a name that is not is NXDOMAIN, both with the SOA', () => {
  for (const [name, type, rcode] of [
    ['web.shop.svc.cluster.local', 'TXT', rcodes.NOERROR],
    ['shop.svc.cluster.local', 'A', rcodes.NOERROR],
    ['svc.cluster.local', 'A', rcodes.NOERROR],
    ['nosuch.shop.svc.cluster.local', 'A', rcodes.NXDOMAIN],
    ['web.nosuch.svc.cluster.local', 'A', rcodes.NXDOMAIN],
  ] as const) {
    const found = ask(name, type)!
    assert.deepEqual([found.rcode, found.answers.length, found.authority?.[0].type], [rcode, 0, 'SOA'], name)
  }
})

test('addresses have names: services and pods of headless ones; other addresses are not the zone’s', () => {
  assert.ok(ask(reverseName('10.112.0.20'), 'PTR')!.answers[0].data.includes('web'))
  assert.ok(ask(reverseName('fd00:111::14'), 'PTR')!.answers[0].data.includes('db-0'))
  assert.equal(ask(reverseName('192.0.2.1'), 'PTR'), undefined)
  assert.equal(ask('www.example.com', 'A'), undefined)
})

test('a pod has a name made of its address', () => {
  assert.deepEqual([...ask('10-111-0-10.shop.pod.cluster.local', 'A')!.answers[0].data], [10, 111, 0, 10])
})

test('an answer that does not fit is cut and says so; with EDNS or over TCP it is whole', () => {
  const found = ask('crowd.shop.svc.cluster.local', 'A')!
  assert.equal(found.answers.length, 60)
  const plain = readQuestion(message('crowd.shop.svc.cluster.local', 1))!
  const cut = writeAnswer(plain, { ...found, authoritative: true }, plain.udpSize)
  assert.ok(cut.length <= 512 && (cut[2] & 2) === 2 && cut.readUInt16BE(6) === 0)
  const large = readQuestion(message('Crowd.Shop.svc.cluster.local', 1, 4096))!
  assert.deepEqual([large.udpSize, large.name], [4096, 'crowd.shop.svc.cluster.local'])
  const whole = writeAnswer(large, { ...found, authoritative: true }, large.udpSize)
  assert.ok(whole.length > 512 && (whole[2] & 2) === 0 && whole.readUInt16BE(6) === 60)
})

test('a message that is cut short or an answer is no question', () => {
  const good = message('web.shop.svc.cluster.local', 1)
  for (let length = 0; length < good.length; length++) assert.equal(readQuestion(good.subarray(0, length)), undefined)
  good[2] |= 0x80
  assert.equal(readQuestion(good), undefined)
})

test('the world knows its few names and nothing of the cluster', () => {
  assert.equal(worldZone()('www.example.com', types.A)!.answers.length, 1)
  assert.equal(worldZone()('web.shop', types.A)!.rcode, rcodes.NXDOMAIN)
})
