// What `kt mesh` prints once it holds.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { withEnding } from '../../src/cli/holder.ts'
import { autoWords, manualWords } from '../../src/daemon/inbound/mesh.ts'

const port = { port: 8080, protocol: 'TCP' as const, listen: 80, exposed: true }
const handle = {
  service: 'web',
  namespace: 'shop',
  ports: [{ ...port, port: 80, exposed: false }, port],
  mesh: { mode: 'auto' as const, header: 'kt-version', value: 'abcde', prefix: false, others: [] as string[] },
}

it('auto: how a request is made that comes here', () => {
  assert.equal(
    autoWords(handle, '8080 -> localhost:9000'),
    `requests to web.shop with the header "kt-version: abcde" come here: 8080 -> localhost:9000.
  curl -H 'kt-version: abcde' http://web.shop:8080/`,
  )
  assert.match(
    autoWords({ ...handle, mesh: { ...handle.mesh, value: 'ann-', prefix: true } }, ''),
    /"kt-version: ann-…".*\n.*curl -H 'kt-version: ann-1'/,
  )
})

it('auto: the curl command stands alone on its line, and is there for HTTP only', () => {
  const words = (more: object, message = autoWords({ ...handle, ports: [{ ...port, ...more }] }, '')) =>
    withEnding(message, 'Ctrl-C ends it.').split('\n')
  for (const more of [{ port: 80 }, { port: 3000 }, { port: 443, name: 'http' }, { port: 9, appProtocol: 'http' }]) {
    const [, command, ending] = words(more)
    assert.match(command, /^ {2}curl -H 'kt-version: abcde' http:\/\/web\.shop(:\d+)?\/$/)
    assert.equal(ending, 'Ctrl-C ends it.')
  }
  for (const more of [
    { port: 443 },
    { port: 5432 },
    { name: 'grpc-api' },
    { port: 80, appProtocol: 'grpc' },
    { port: 7 },
  ])
    assert.equal(words(more).length, 1, JSON.stringify(more))
})

it('auto: a value with a quote in it is one word for the shell', () => {
  const mesh = { ...handle.mesh, value: "ann's" }
  assert.match(autoWords({ ...handle, mesh }, ''), /curl -H 'kt-version: ann'\\''s' http/)
})

it('manual: rules for Istio, where the other pods are known by their version', () => {
  const mesh = {
    ...handle.mesh,
    mode: 'manual' as const,
    header: 'version',
    value: 'web-kt-x7',
    others: ['v1', '1.10'],
  }
  assert.equal(
    manualWords({ ...handle, mesh }, '8080 -> localhost:9000'),
    `web.shop has a pod with the label version=web-kt-x7, whose requests come here: 8080 -> localhost:9000.
Until there are rules, it gets its share of all requests. For Istio:

apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: web
  namespace: shop
spec:
  host: web.shop.svc.cluster.local
  subsets:
    - name: v1
      labels:
        version: v1
    - name: 1-10
      labels:
        version: "1.10"
    - name: web-kt-x7
      labels:
        version: web-kt-x7
      # The shadow has no sidecar.
      trafficPolicy:
        tls:
          mode: DISABLE
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: web
  namespace: shop
spec:
  hosts:
    - web
    - web.shop.svc.cluster.local
  http:
    - match:
        - headers:
            kt-version:
              exact: web-kt-x7
      route:
        - destination:
            host: web.shop.svc.cluster.local
            subset: web-kt-x7
    - route:
        - destination:
            host: web.shop.svc.cluster.local
            subset: v1
          weight: 50
        - destination:
            host: web.shop.svc.cluster.local
            subset: 1-10
          weight: 50
`,
  )
})

it('manual: says so when the other pods cannot be named', () => {
  const mesh = { ...handle.mesh, mode: 'manual' as const, header: 'version', value: 'x' }
  const words = manualWords({ ...handle, mesh }, '')
  assert.match(words, /The pods of web have no label "version": give them one and put it below instead of ORIGINAL\./)
  assert.match(words, /version: ORIGINAL/)
})
