// A hint of the tunnel's names the pod.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ShadowHandle } from '../../src/cluster/calls.ts'
import { withPod } from '../../src/connection/pod-hints.ts'
import { TunnelError } from '../../src/tunnel/errors.ts'

const shadow = { namespace: 'shop', pod: 'kt-shadow-x', port: 2222 } as ShadowHandle
const hint = (text: string) => withPod(new TunnelError('lost', 'gone', text), shadow).hint

test('commands of kubectl in hints get the pod and its namespace; the error stays what it was', () => {
  assert.equal(
    hint('`kubectl get pods` shows whether the shadow runs'),
    '`kubectl -n shop get pod kt-shadow-x` shows whether the shadow runs',
  )
  assert.equal(hint('`kubectl logs` of the shadow may say why'), '`kubectl -n shop logs kt-shadow-x` may say why')
  assert.match(hint('see whether kubectl port-forward to the shadow pod works'), /port-forward kt-shadow-x :2222`/)
  const error = new TunnelError('lost', 'gone', '`kubectl get pods` shows it')
  assert.equal(withPod(error, shadow), error)
  assert.deepEqual([error.code, error.message], ['lost', 'gone'])
  assert.equal(hint('`kt logs` has more'), '`kt logs` has more')
})
