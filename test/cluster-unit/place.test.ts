import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { V1Container, V1Pod, V1Secret, V1Service } from '@kubernetes/client-node'
import fc from 'fast-check'
import { chooseContainer, servedPorts } from '../../src/cluster/place/choice.ts'
import { type EnvironmentFacts, environmentOf } from '../../src/cluster/place/environment.ts'
import { expand } from '../../src/cluster/place/expand.ts'
import { podField } from '../../src/cluster/place/fields.ts'
import { inUnitsOf, nanos } from '../../src/cluster/place/quantity.ts'
import { mountsOf, tokenKey, type VolumeFacts } from '../../src/cluster/place/volumes.ts'

describe('references in values', () => {
  const known: Record<string, string> = { A: '1', B: '$(A)' }
  const lookup = (name: string) => known[name]

  for (const [text, expected] of [
    ['$(A)', '1'],
    ['$(B)', '$(A)'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$1'],
    ['$(C)', '$(C)'],
    ['$A $ $( $(A', '$A $ $( $(A'],
    ['$($(A))', '$($(A))'],
    ['$()', '$()'],
    ['a$(A)b$(A)', 'a1b1'],
    ['$(A\n)', '$(A\n)'],
  ])
    test(`${JSON.stringify(text)} becomes ${JSON.stringify(expected)}`, () => {
      assert.equal(expand(text, lookup), expected)
    })

  test('it reads every text as a scan byte by byte does', () => {
    const text = fc.array(fc.constantFrom('$', '(', ')', 'A', 'B', 'C', ' ', '\n')).map((parts) => parts.join(''))
    fc.assert(fc.property(text, (one) => assert.equal(expand(one, lookup), scanned(one, lookup))))
  })
})

/** The rule of the expansion, one character after another. */
function scanned(text: string, lookup: (name: string) => string | undefined): string {
  let result = ''
  for (let i = 0; i < text.length; i++) {
    const close = text.indexOf(')', i)
    if (text.startsWith('$$', i)) {
      result += '$'
      i++
    } else if (text.startsWith('$(', i) && close >= 0) {
      result += lookup(text.slice(i + 2, close)) ?? text.slice(i, close + 1)
      i = close
    } else result += text[i]
  }
  return result
}

describe('amounts', () => {
  for (const [amount, divisor, cpu, expected] of [
    ['250m', '1m', true, '250'],
    ['250m', '1', true, '1'],
    ['250m', '0', true, '1'],
    ['1.5', '1', true, '2'],
    ['2', '1m', true, '2000'],
    ['1500k', '1Ki', false, '1465'],
    ['64Mi', '1Mi', false, '64'],
    ['64Mi', '1M', false, '68'],
    ['1e3', '1', false, '1000'],
    ['1E', '1P', false, '1000'],
    ['100u', '1', true, '1'],
    ['0', '1', false, '0'],
    ['9Ei', '1', false, '10376293541461622784'],
  ] as const)
    test(`${amount} in units of ${divisor} is ${expected}`, () => {
      assert.equal(inUnitsOf(amount, divisor, cpu), expected)
    })

  test('what is no amount is none', () => {
    for (const text of ['', 'm', '1x', '1.2.3', '.', '1Mi2', '1e999', 'e3']) assert.equal(nanos(text), undefined, text)
  })
})

const pod: V1Pod = {
  metadata: {
    name: 'p',
    namespace: 'shop',
    labels: { app: 'web', a: 'x' },
    annotations: { note: 'a "b"\n\x01é\u00a0\u{10ffff}' },
  },
  spec: { containers: [], nodeName: 'n1', serviceAccountName: 'sa' },
  status: { podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }] },
}
const secret = (data: Record<string, string>): V1Secret => ({
  data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])),
})

function computed(container: Partial<V1Container>, more: Partial<EnvironmentFacts> = {}) {
  const { variables, missing } = environmentOf({
    pod,
    container: { name: 'c', ...container },
    sources: { configMaps: new Map(), secrets: new Map() },
    services: [],
    unread: [],
    minor: 34,
    serviceLinks: false,
    ...more,
  })
  return { env: Object.fromEntries(variables.map(({ name, value }) => [name, value])), missing }
}

describe("a container's environment", () => {
  test('a variable that comes from a file in the pod is named, and what knows it', () => {
    const fileKeyRef = { volumeName: 'settings', path: 'vars.env', key: 'GREETING' }
    const { env, missing } = computed({ env: [{ name: 'GREETING', valueFrom: { fileKeyRef } }] })
    assert.deepEqual(env, {})
    const why =
      'it comes from the file vars.env in the volume settings, which only the pod has; `kt env --live` knows it'
    assert.deepEqual(missing, [{ name: 'GREETING', why }])
  })

  test('labels and annotations are listed in the order of their keys, quoted as Go quotes', () => {
    assert.equal(podField('metadata.labels', { pod }), 'a="x"\napp="web"')
    assert.equal(podField('metadata.annotations', { pod }), 'note="a \\"b\\"\\n\\x01é\\u00a0\\U0010ffff"')
    assert.equal(podField("metadata.labels['none']", { pod }), '')
  })

  test('env comes after envFrom, a later value replaces an earlier one, and a value refers to what came before it', () => {
    const { env } = computed(
      {
        envFrom: [{ configMapRef: { name: 'm' } }, { prefix: 'P_', secretRef: { name: 's' } }],
        env: [
          { name: 'A', value: '$(A) and $(P_K) and $(Z)' },
          { name: 'Z', value: 'z' },
          { name: 'A', value: '$(A)!' },
        ],
      },
      {
        sources: { configMaps: new Map([['m', { data: { A: 'a' } }]]), secrets: new Map([['s', secret({ K: 'k' })]]) },
      },
    )
    assert.deepEqual(env, { A: 'a and k and $(Z)!', P_K: 'k', Z: 'z' })
  })

  test('keys that are no names are left out until Kubernetes 1.29, and only then', () => {
    const container = { envFrom: [{ configMapRef: { name: 'm' } }] }
    const sources = {
      configMaps: new Map([['m', { data: { '1a': '1', '..b': '2', 'c.d-e': '3' } }]]),
      secrets: new Map(),
    }
    assert.deepEqual(Object.keys(computed(container, { sources, minor: 29 }).env), ['c.d-e'])
    assert.deepEqual(Object.keys(computed(container, { sources, minor: 30 }).env), ['..b', '1a', 'c.d-e'])
  })

  test('what may not be read is named with why, and so is what refers to it', () => {
    const refused = { refused: 'you may not get secrets' }
    const ref = (name: string, key: string, optional = false) => ({
      valueFrom: { secretKeyRef: { name, key, optional } },
    })
    const { env, missing } = computed(
      {
        env: [
          { name: 'PASSWORD', value: 'an earlier one, which is not the right one' },
          { name: 'PASSWORD', ...ref('s', 'p') },
          { name: 'URL', value: 'db://$(PASSWORD)@x' },
          { name: 'GONE', ...ref('none', 'p') },
          { name: 'MAYBE', ...ref('none', 'p', true) },
          { name: 'PLAIN', value: '$(NOBODY)' },
        ],
      },
      { sources: { configMaps: new Map(), secrets: new Map([['s', refused]]) } },
    )
    assert.deepEqual(env, { PLAIN: '$(NOBODY)' })
    assert.deepEqual(missing, [
      { name: 'PASSWORD', why: 'you may not get secrets' },
      { name: 'URL', why: 'it refers to $(PASSWORD), which is not known' },
      { name: 'GONE', why: 'Secret none is not there' },
    ])
  })

  test('a reference that a Secret which may not be read could satisfy is not known', () => {
    const { env, missing } = computed(
      { envFrom: [{ secretRef: { name: 's' } }], env: [{ name: 'URL', value: 'x$(USER)' }] },
      { sources: { configMaps: new Map(), secrets: new Map([['s', { refused: 'no' }]]) } },
    )
    assert.deepEqual(env, {})
    assert.deepEqual(
      missing.map(({ name }) => name),
      ['all of Secret s', 'URL'],
    )
  })

  test('a limit that is not set is what the node can give, unless the whole pod has one', () => {
    const env = [{ name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } } }]
    assert.deepEqual(computed({ env }, { allocatable: { cpu: '4' } }).env, { CPU: '4000' })
    const limited = { ...pod, spec: { ...pod.spec!, resources: { limits: { cpu: '1' } } } }
    assert.deepEqual(computed({ env }, { pod: limited, allocatable: { cpu: '4' } }).env, { CPU: '1000' })
    assert.match(computed({ env }, { noNode: 'and you may not get nodes' }).missing[0].why, /you may not get nodes/)
    assert.deepEqual(computed({ env, resources: { limits: { cpu: '250m' } } }).env, { CPU: '250' })
  })

  test('variables of Services are there when they are asked for, and values refer to them always', () => {
    const services: V1Service[] = [
      {
        metadata: { name: 'my-db' },
        spec: {
          clusterIP: 'fd00::5',
          ports: [
            { name: 'sql-tcp', port: 5432 },
            { name: 'x', port: 53, protocol: 'UDP' },
          ],
        },
      },
      { metadata: { name: 'headless' }, spec: { clusterIP: 'None', ports: [{ port: 1 }] } },
    ]
    const container = {
      env: [
        { name: 'DB', value: '$(MY_DB_PORT)' },
        { name: 'MY_DB_PORT_53_UDP_PROTO', value: 'own' },
      ],
    }
    assert.deepEqual(computed(container, { services }).env, {
      DB: 'tcp://[fd00::5]:5432',
      MY_DB_PORT_53_UDP_PROTO: 'own',
    })
    assert.deepEqual(computed(container, { services, serviceLinks: true }).env, {
      DB: 'tcp://[fd00::5]:5432',
      MY_DB_PORT_53_UDP_PROTO: 'own',
      MY_DB_SERVICE_HOST: 'fd00::5',
      MY_DB_SERVICE_PORT: '5432',
      MY_DB_SERVICE_PORT_SQL_TCP: '5432',
      MY_DB_SERVICE_PORT_X: '53',
      MY_DB_PORT: 'tcp://[fd00::5]:5432',
      MY_DB_PORT_5432_TCP: 'tcp://[fd00::5]:5432',
      MY_DB_PORT_5432_TCP_PROTO: 'tcp',
      MY_DB_PORT_5432_TCP_PORT: '5432',
      MY_DB_PORT_5432_TCP_ADDR: 'fd00::5',
      MY_DB_PORT_53_UDP: 'udp://[fd00::5]:53',
      MY_DB_PORT_53_UDP_PORT: '53',
      MY_DB_PORT_53_UDP_ADDR: 'fd00::5',
    })
  })

  test('fields that only a pod has are named where there is none', () => {
    const template: V1Pod = { metadata: { namespace: 'shop' }, spec: { containers: [] } }
    const env = [{ name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }]
    assert.deepEqual(computed({ env }, { pod: template }).missing, [{ name: 'IP', why: 'there is no pod now' }])
  })
})

describe("a container's files", () => {
  const facts = (
    volumes: NonNullable<V1Pod['spec']>['volumes'],
    volumeMounts: V1Container['volumeMounts'],
    more: Partial<VolumeFacts> = {},
  ) => ({
    pod: { ...pod, spec: { ...pod.spec!, volumes, ...(more.pod?.spec ?? {}) } },
    container: { name: 'c', volumeMounts },
    sources: {
      configMaps: new Map([['m', { data: { a: '1', 'b.yaml': '2' }, binaryData: { bin: '/wA=' } }]]),
      secrets: new Map([['s', secret({ k: 'v' })]]),
    },
    variables: new Map([['NAME', 'deep']]),
    tokens: new Map([[tokenKey({ audience: 'x', seconds: 600 }), { token: 't0ken' }]]),
    ...(({ pod: _, ...rest }) => rest)(more),
  })
  const shown = ({ mounts }: ReturnType<typeof mountsOf>) =>
    Object.fromEntries(
      mounts.map(({ path, content }) => [
        path,
        'files' in content
          ? content.files.map(
              (file) => `${file.path} ${file.mode.toString(8)} ${Buffer.from(file.data, 'base64').toString('latin1')}`,
            )
          : content.kind,
      ]),
    )

  test('items, modes, parts, tokens and what must be copied', () => {
    const volumes = [
      { name: 'm', configMap: { name: 'm', defaultMode: 0o400 } },
      {
        name: 'i',
        configMap: {
          name: 'm',
          items: [
            { key: 'a', path: 'deep/er/a' },
            { key: 'bin', path: 'b', mode: 0o600 },
          ],
        },
      },
      {
        name: 'p',
        projected: {
          sources: [
            { secret: { name: 's' } },
            { serviceAccountToken: { path: 'token', audience: 'x', expirationSeconds: 600 } },
          ],
        },
      },
      { name: 'e', emptyDir: {} },
      { name: 'c', persistentVolumeClaim: { claimName: 'c' } },
    ]
    const mounts = [
      { name: 'm', mountPath: '/etc/m/' },
      { name: 'm', mountPath: '/one', subPath: 'b.yaml' },
      { name: 'i', mountPath: '/etc/m/i' },
      { name: 'i', mountPath: '/part', subPathExpr: '$(NAME)' },
      { name: 'p', mountPath: '/p' },
      { name: 'e', mountPath: '/e' },
      { name: 'c', mountPath: '/c' },
    ]
    const result = mountsOf(facts(volumes, mounts))
    assert.deepEqual(result.missing, [])
    assert.deepEqual(shown(result), {
      '/c': 'copy',
      '/e': 'empty',
      '/one': [' 400 2'],
      '/p': ['k 644 v', 'token 644 t0ken'],
      '/part': ['er/a 644 1'],
      '/etc/m': ['a 400 1', 'b.yaml 400 2', 'bin 400 \xff\x00'],
      '/etc/m/i': ['deep/er/a 644 1', 'b 600 \xff\x00'],
    })
    const order = result.mounts.map(({ path }) => path)
    assert.ok(order.indexOf('/etc/m') < order.indexOf('/etc/m/i'), 'a mount inside of another comes after it')
  })

  test('with a group of their own, files are readable by it, and a token by nobody else', () => {
    const volumes = [
      {
        name: 'p',
        projected: {
          sources: [
            { secret: { name: 's', items: [{ key: 'k', path: 'k', mode: 0o400 }] } },
            { serviceAccountToken: { path: 'token', audience: 'x', expirationSeconds: 600 } },
          ],
        },
      },
    ]
    const grouped = { ...pod, spec: { containers: [], securityContext: { fsGroup: 1 } } }
    const result = mountsOf(facts(volumes, [{ name: 'p', mountPath: '/p' }], { pod: grouped }))
    assert.deepEqual(shown(result), { '/p': ['k 440 v', 'token 640 t0ken'] })
  })

  test('no path leaves its volume, and what is not there is named unless it is optional', () => {
    const volumes = [
      {
        name: 'm',
        configMap: {
          name: 'm',
          items: [
            { key: 'a', path: '../a' },
            { key: 'a', path: '/etc/passwd' },
            { key: 'none', path: 'x' },
          ],
        },
      },
      { name: 'n', secret: { secretName: 'none' } },
      { name: 'o', secret: { secretName: 'none', optional: true } },
    ]
    const mounts = [
      { name: 'm', mountPath: '/m' },
      { name: 'm', mountPath: '/../../etc' },
      { name: 'm', mountPath: '/sub', subPath: '../x' },
      { name: 'n', mountPath: '/n' },
      { name: 'o', mountPath: '/o' },
    ]
    const result = mountsOf(facts(volumes, mounts))
    assert.deepEqual(shown(result), { '/m': [], '/n': [], '/o': [] })
    const names = result.missing.map(({ name }) => name)
    for (const one of ['/m: ../a', '/m: /etc/passwd', '/m: x', '/n: Secret none']) assert.ok(names.includes(one), one)
    assert.ok(!names.some((one) => one.startsWith('/o')))
  })
})

describe('which container', () => {
  const two: V1Pod = {
    spec: {
      containers: [
        { name: 'proxy', ports: [{ containerPort: 9090, name: 'metrics' }] },
        { name: 'app', ports: [{ containerPort: 8080, name: 'http' }] },
      ],
    },
  }
  const ports = [{ port: 80, targetPort: 'http' }, { port: 9090, targetPort: 'metrics' }, { port: 7000 }]

  test('the one that serves the first port of the Service, the annotated one, or the one that is named', () => {
    assert.equal(chooseContainer(two, undefined, ports).name, 'app')
    assert.equal(chooseContainer(two, undefined, []).name, 'proxy')
    const annotations = { 'kubectl.kubernetes.io/default-container': 'proxy' }
    assert.equal(chooseContainer({ ...two, metadata: { annotations } }, undefined, ports).name, 'proxy')
    assert.equal(chooseContainer(two, 'proxy', ports).name, 'proxy')
    assert.throws(() => chooseContainer(two, 'nobody', ports), /there is no container "nobody"/)
  })

  test('it serves the ports that it declares, and those that nobody declares', () => {
    const app = chooseContainer(two, 'app', ports)
    assert.deepEqual(servedPorts(two, app, ports), [
      { port: 80, target: 8080, protocol: 'TCP' },
      { port: 7000, target: 7000, protocol: 'TCP' },
    ])
  })
})
