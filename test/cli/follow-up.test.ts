// Commands in hints work as printed: they have the flags by which the command chose its cluster.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withChosen } from '../../src/cli/follow-up.ts'

test('a command of a hint gets the namespace, context and kubeconfig that were chosen, once', () => {
  const chosen = { namespace: 'shop', context: 'my dev', kubeconfig: '/home/ann/it is.yaml' }
  assert.equal(
    withChosen('`kt recover web` puts back what was left', chosen),
    "`kt recover web -n shop --context 'my dev' --kubeconfig '/home/ann/it is.yaml'` puts back what was left",
  )
  assert.equal(withChosen('`kt recover web -n d` does it', { namespace: 'shop' }), '`kt recover web -n d` does it')
  assert.equal(withChosen('`kubectl get pods` shows', { namespace: 'shop' }), '`kubectl get pods -n shop` shows')
  assert.equal(withChosen('`kubectl -n d get pods`', { context: 'c' }), '`kubectl -n d get pods --context c`')
  assert.equal(withChosen('`kubectl version`', chosen).includes('-n shop'), false)
  assert.equal(
    withChosen('`kt run x --port 80 -- npm start`', { namespace: 'd' }),
    '`kt run x --port 80 -n d -- npm start`',
  )
})

test('what asks no cluster, and what was chosen by nobody, stays as it is', () => {
  for (const hint of [
    'the flags are in `kt up --help`',
    '`kt logs` may say why',
    '`kt status` lists it',
    'use --force',
    '`kt down`, then try again',
  ])
    assert.equal(withChosen(hint, { namespace: 'shop' }), hint)
  assert.equal(withChosen('`kt clean` removes it', {}), '`kt clean` removes it')
})
