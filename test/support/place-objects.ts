// A Deployment whose pods use every form of environment and files that Kubernetes has, with two containers, and a Service.

const image = 'docker.io/library/node:24-alpine'
/** Answers on $PORT as a pod does. */
const serve = `require('node:http').createServer((q, r) => r.end('pod\\n')).listen(Number(process.env.PORT || 8080))`

const environment = {
  envFrom: [
    { configMapRef: { name: 'settings' } },
    { prefix: 'DB_', secretRef: { name: 'database' } },
    { configMapRef: { name: 'nowhere', optional: true } },
    { secretRef: { name: 'nowhere', optional: true } },
  ],
  env: [
    { name: 'PORT', value: '8080' },
    { name: 'LEVEL', value: 'overridden' },
    { name: 'EMPTY' },
    { name: 'FROM_MAP', valueFrom: { configMapKeyRef: { name: 'settings', key: 'GREETING' } } },
    { name: 'FROM_SECRET', valueFrom: { secretKeyRef: { name: 'database', key: 'PASSWORD' } } },
    { name: 'OPTIONAL_KEY', valueFrom: { configMapKeyRef: { name: 'settings', key: 'none', optional: true } } },
    { name: 'OPTIONAL_SECRET', valueFrom: { secretKeyRef: { name: 'nowhere', key: 'none', optional: true } } },
    // Optional and not there: what envFrom gave stays.
    { name: 'KEPT', valueFrom: { configMapKeyRef: { name: 'nowhere', key: 'none', optional: true } } },
    ...['metadata.name', 'metadata.namespace', 'metadata.uid', 'spec.nodeName', 'spec.serviceAccountName'].map(field),
    ...['status.hostIP', 'status.hostIPs', 'status.podIP', 'status.podIPs'].map(field),
    field("metadata.labels['app']"),
    field("metadata.annotations['example.com/note']"),
    field("metadata.labels['none']"),
    ...[
      ['limits.cpu', '1m'],
      ['limits.cpu', '1'],
      ['limits.memory', '1Mi'],
      ['limits.memory', '0'],
      ['requests.cpu', '1m'],
      ['requests.memory', '1Ki'],
      ['limits.ephemeral-storage', '1Gi'],
      ['requests.ephemeral-storage', '1'],
    ].map(([resource, divisor]) => ({
      name: `${resource}_${divisor}`.toUpperCase().replace(/[.-]/g, '_'),
      valueFrom: { resourceFieldRef: { resource, divisor } },
    })),
    {
      name: 'OTHERS_CPU',
      valueFrom: { resourceFieldRef: { containerName: 'helper', resource: 'limits.cpu', divisor: '1m' } },
    },
    { name: 'URL', value: 'postgres://$(DB_USER):$(FROM_SECRET)@db:$(PORT)/$(LATER)/$(NOBODY)' },
    { name: 'LATER', value: 'later' },
    { name: 'DOLLARS', value: '$$(PORT) $$$(PORT) $(PORT $PORT $ $$ $(' },
    { name: 'NESTED', value: '$($(PORT))' },
    { name: 'TWICE', value: 'first' },
    { name: 'TWICE', value: '$(TWICE) and second' },
    { name: 'SERVER', value: '$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT_HTTPS) $(ORDERS_SERVICE_PORT)' },
    { name: 'LINES', value: 'one\ntwo\n\tthree "quoted" \'single\' \\back\\ #hash  ' },
    { name: 'odd.name-x', value: 'ünïcode €' },
    { name: 'WEB_SERVICE_HOST_MINE', value: 'x' },
  ],
}

function field(fieldPath: string) {
  const name = fieldPath.replace(/\W+/g, '_').toUpperCase()
  return { name, valueFrom: { fieldRef: { fieldPath } } }
}

const volumes = [
  { name: 'config', configMap: { name: 'settings' } },
  {
    name: 'some',
    configMap: {
      name: 'settings',
      defaultMode: 0o400,
      items: [{ key: 'app.yaml', path: 'deep/er/app.yaml', mode: 0o444 }],
    },
  },
  { name: 'secret', secret: { secretName: 'database', defaultMode: 0o440 } },
  { name: 'gone', secret: { secretName: 'nowhere', optional: true } },
  {
    name: 'downward',
    downwardAPI: {
      items: [
        { path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } },
        { path: 'annotations', fieldRef: { fieldPath: 'metadata.annotations' } },
        { path: 'cpu', resourceFieldRef: { containerName: 'app', resource: 'limits.cpu', divisor: '1m' } },
      ],
    },
  },
  {
    name: 'all',
    projected: {
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { path: 'token', audience: 'vault', expirationSeconds: 600 } },
        { configMap: { name: 'settings', items: [{ key: 'GREETING', path: 'greeting' }] } },
        { secret: { name: 'database', items: [{ key: 'PASSWORD', path: 'password', mode: 0o400 }] } },
        { downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
      ],
    },
  },
  { name: 'scratch', emptyDir: {} },
  { name: 'host', hostPath: { path: '/opt/kt-place-test', type: 'DirectoryOrCreate' } },
]

const volumeMounts = [
  { name: 'config', mountPath: '/etc/app' },
  { name: 'some', mountPath: '/etc/some' },
  { name: 'secret', mountPath: '/etc/app/secret', readOnly: true },
  { name: 'gone', mountPath: '/etc/gone' },
  { name: 'downward', mountPath: '/etc/pod' },
  { name: 'all', mountPath: '/var/run/all' },
  { name: 'config', mountPath: '/etc/single.yaml', subPath: 'app.yaml' },
  { name: 'some', mountPath: '/etc/part', subPath: 'deep' },
  { name: 'scratch', mountPath: '/scratch' },
  { name: 'host', mountPath: '/data' },
]

/** Deployment and Service `orders`, and what they use. */
export function placeObjects(namespace: string): object[] {
  const metadata = (name: string) => ({ name, namespace })
  const labels = { app: 'orders', 'example.com/team': 'blue' }
  const annotations = { 'example.com/note': 'a "note"\nwith lines', 'example.com/other': 'tab\tand €\u00a0\u0001' }
  const helper = {
    name: 'helper',
    image,
    command: ['node', '-e', "require('node:http').createServer((q, r) => r.end('metrics')).listen(9090)"],
    ports: [{ name: 'metrics', containerPort: 9090 }],
    resources: { limits: { cpu: '50m' }, requests: { cpu: '5m' } },
  }
  const app = {
    name: 'app',
    image,
    command: ['node', '-e', serve],
    ports: [{ name: 'http', containerPort: 8080 }],
    readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
    resources: { requests: { cpu: '15m', memory: '1500k' }, limits: { memory: '256Mi' } },
    ...environment,
    volumeMounts,
  }
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: metadata('settings'),
      data: { GREETING: 'hello', LEVEL: 'info', KEPT: 'kept', '1digit': 'one', 'app.yaml': 'a: 1\nb: two\n' },
      binaryData: { 'logo.bin': Buffer.from([0, 1, 2, 255, 254]).toString('base64') },
    },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: metadata('database'),
      stringData: { USER: 'ann', PASSWORD: 'p\'a$$s"w`o\\rd' },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: metadata('orders'),
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: 'orders' } },
        template: {
          metadata: { labels, annotations },
          spec: { terminationGracePeriodSeconds: 1, containers: [helper, app], volumes },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadata('orders'),
      spec: {
        selector: { app: 'orders' },
        ports: [
          { name: 'http', port: 80, targetPort: 'http' },
          { name: 'metrics', port: 9090, targetPort: 'metrics' },
        ],
      },
    },
  ]
}
