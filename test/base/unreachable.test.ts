// What a socket's error says of a server.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brokenSentence, unreachableSentence } from '../../src/base/unreachable.ts'

const failed = (code: string | undefined, message: string) => Object.assign(new Error(message), { code })

test('known failures are told in words, without the address that Node repeats', () => {
  const error = failed('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:6443')
  assert.equal(unreachableSentence('127.0.0.1:6443', error), '127.0.0.1:6443 refuses the connection')
})

test('so is the failure of several addresses, whose message is empty', () => {
  const each = ['::1', '127.0.0.1'].map((host) => failed('ECONNREFUSED', `connect ECONNREFUSED ${host}:1`))
  const error = Object.assign(new AggregateError(each), { code: 'ECONNREFUSED' })
  assert.equal(unreachableSentence('localhost:1', error), 'localhost:1 refuses the connection')
})

test('other failures are told in their own words, or by their code', () => {
  assert.equal(unreachableSentence('a:1', failed('EPROTO', 'wrong version number')), 'a:1: wrong version number')
  assert.equal(unreachableSentence('a:1', failed('constructor', '')), 'a:1: constructor')
  assert.equal(unreachableSentence('a:1', failed(undefined, '')), 'a:1: the connection failed')
})

test('a connection that was there: who ended it, and what has no words of its own stays as Node says it', () => {
  const words = (code: string) => brokenSentence('the API server', Object.assign(new Error(`read ${code}`), { code }))
  assert.equal(words('ECONNABORTED'), 'this machine ended the connection to the API server')
  assert.equal(words('ETIMEDOUT'), 'the API server does not answer')
  assert.equal(words('EIO'), 'the API server: read EIO')
})
