import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClusterError } from '../../../src/cluster/calls.ts'
import { contextNames, loadKubeconfig } from '../../../src/cluster/kubeconfig.ts'
import type { Area, Subject } from '../area.ts'
import { spoil } from '../json.ts'
import type { Random } from '../random.ts'

const GOOD = {
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'lab',
  contexts: [
    { name: 'lab', context: { cluster: 'lab', user: 'dev', namespace: 'shop' } },
    { name: 'other', context: { cluster: 'far', user: 'plugin' } },
  ],
  clusters: [
    { name: 'lab', cluster: { server: 'https://10.0.0.1:6443', 'certificate-authority-data': 'Y2E=' } },
    {
      name: 'far',
      cluster: {
        server: 'k8s.example/below',
        'insecure-skip-tls-verify': true,
        'proxy-url': 'socks5://127.0.0.1:1080',
        extensions: [{ name: 'client.authentication.k8s.io/exec', extension: { a: 1 } }],
      },
    },
  ],
  users: [
    { name: 'dev', user: { token: 'abc', as: 'someone', 'as-groups': ['a'], 'as-user-extra': { k: ['v'] } } },
    {
      name: 'plugin',
      user: { exec: { command: './login', args: ['-x'], env: [{ name: 'A', value: 'b' }], interactiveMode: 'Never' } },
    },
  ],
}
const OTHERS = [
  'lab',
  'dev',
  'ftp://x',
  'http://[::1',
  'https://a b',
  'socks5://x:y@z:99999',
  'SHOP',
  'a/b',
  'tokenFile',
  6443,
]
/** What only YAML has: in front of the text or in its midst. */
const YAML = [
  '&a [*a]\n',
  '<<: {a: 1}\n',
  '!!js/function x\n',
  '---\n',
  '...\n',
  '\t',
  '%YAML 1.2\n',
  '? x\n: y\n',
  '"\\x1b[2J": 1\n',
]
const MOST_MS = 2000

function make(random: Random): Buffer {
  let text = JSON.stringify(spoil(random, GOOD, OTHERS), null, random.int(3)) ?? ''
  if (random.chance(15)) {
    const at = random.chance(50) ? 0 : random.int(text.length + 1)
    text = text.slice(0, at) + random.pick(YAML) + text.slice(at)
  }
  return Buffer.from(text)
}

function start(): Subject {
  const folder = mkdtempSync(join(tmpdir(), 'kt-fuzz-'))
  const kubeconfig = join(folder, 'config')
  const tell = (read: () => void) => {
    try {
      read()
    } catch (error) {
      assert.ok(error instanceof ClusterError, String((error as Error).stack))
      assert.match(error.message, /\S/)
      assert.match(error.hint, /\S/)
    }
  }
  return {
    attempt(input) {
      writeFileSync(kubeconfig, input)
      const before = process.cpuUsage()
      tell(() => contextNames({ kubeconfig }, {}))
      for (const context of [undefined, 'other'])
        tell(() => {
          const { identity, cluster, proxy } = loadKubeconfig({ kubeconfig, context }, {})
          assert.match(identity.namespace, /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
          assert.match(new URL(cluster.server).protocol, /^https?:$/)
          if (proxy !== undefined) assert.ok(URL.canParse(proxy))
        })
      const { user, system } = process.cpuUsage(before)
      assert.ok((user + system) / 1000 < MOST_MS, `it took ${user + system} us of the processor`)
    },
    stop: () => rmSync(folder, { recursive: true }),
  }
}

export default {
  about: 'kubeconfigs: one that cannot be used says so in words, soon',
  make,
  start,
} satisfies Area
