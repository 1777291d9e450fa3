// What is said to a program over its channel is read against the channel's schema.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import { UpConfig } from '../../src/control/config.ts'
import { HolderConfig } from '../../src/control/holder.ts'
import { HelperMessage, HelperRequest } from '../../src/daemon/helper/protocol.ts'

const up = {
  ...{ shadow: 'agent', readyTimeoutS: 60, nodeSelector: {}, tolerations: [], imagePullSecrets: [], labels: {} },
  ...{ annotations: {}, podResources: {}, owner: 'ann@laptop', env: {}, include: [], exclude: [], dns: 'auto' },
}

/** What a program says when its first line is `line`, and its exit code. */
async function say(program: string, line: string): Promise<{ output: string; code: number | null }> {
  const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text))
  child.stdin.on('error', () => {})
  child.stdin.write(`${line}\n`)
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { output, code }
}

test('a holder that is asked for what it does not know says so and ends', async () => {
  for (const line of ['{"kind":"teleport"}', '{"kind":"recover","target":5}', '5']) {
    const { output, code } = await say('src/daemon/holder.ts', line)
    assert.equal(code, 1, line)
    const { type, code: name, message, hint } = JSON.parse(output)
    assert.deepEqual([type, name], ['failed', 'bad-request'])
    assert.match(`${message}; ${hint}`, /does not understand what the command asks for; .*different versions/)
  }
})

test('an engine takes what kt up writes, and nothing that lacks a part or has one of another type', () => {
  assert.deepEqual(UpConfig.parse(up), up)
  for (const wrong of [
    { ...up, dns: 'maybe' },
    { ...up, include: '10.0.0.0/8' },
    { ...up, owner: undefined },
  ])
    assert.equal(UpConfig.safeParse(wrong).success, false)
})

test('a holder knows each kind by its own parts', () => {
  const { include: _, exclude: __, dns: ___, ...shadow } = up
  const forward = { ...shadow, kind: 'forward', target: 'web', ports: [{ local: 8080, remote: 'http' }] }
  assert.deepEqual(HolderConfig.parse(forward), forward)
  assert.equal(HolderConfig.safeParse({ ...forward, kind: 'exchange' }).success, false)
  assert.equal(HolderConfig.safeParse({ ...forward, ports: [{ local: '8080' }] }).success, false)
})

test('helper and engine take from each other what the channel has, and nothing else', () => {
  const fault = { code: 'x', message: 'm', hint: 'h' }
  for (const fits of [
    { id: 1, ok: true, faults: [fault] },
    { id: 2, ok: false, error: fault },
    { event: 'machine', faults: [fault], repaired: [] },
    { event: 'kernel' },
  ])
    assert.deepEqual(HelperMessage.parse(fits), fits)
  for (const wrong of [
    { id: 1, ok: 'yes' },
    { id: -1, ok: true },
    { id: 2, ok: false },
    { event: 'machine', faults: ['x'], repaired: [] },
    { event: 'run', argv: ['reboot'] },
  ])
    assert.equal(HelperMessage.safeParse(wrong).success, false, JSON.stringify(wrong))
  assert.equal(HelperRequest.safeParse({ id: 1, op: 'look' }).success, true)
  assert.equal(HelperRequest.safeParse({ id: 1, op: 'run', argv: ['reboot'] }).success, false)
})
