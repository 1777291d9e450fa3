// Errors of `expose`: a caller of the library is told of the option `port`, not of a flag of the command line.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planPorts } from '../../src/cluster/inbound/ports.ts'
import type { WantedPort } from '../../src/cluster/inbound-calls.ts'
import { KtError } from '../../src/library/api.ts'
import { exposeError, ktError } from '../../src/library/errors.ts'

const service = {
  metadata: { name: 'web' },
  spec: {
    ports: [
      { name: 'http', port: 80 },
      { name: 'admin', port: 9000 },
    ],
  },
}

function told(wanted: WantedPort, port: number | string | undefined): KtError {
  try {
    planPorts(service, [], [wanted])
  } catch (error) {
    return exposeError(ktError(error), port)
  }
  throw new Error('the port was found')
}

test('a Service with several ports asks for the option `port`', () => {
  const { code, message, hint } = told({ port: 42_235, implied: true }, undefined)
  assert.deepEqual([code, message], ['target-unfit', 'Service web has several ports'])
  assert.equal(hint, 'its ports are 80/TCP (http), 9000/TCP (admin): name one of them in the option `port`')
})

test('a port that was named and is not there is said to be missing', () => {
  const { message, hint } = told({ port: 42_235, name: 'grpc' }, 'grpc')
  assert.equal(message, 'Service web has no port grpc')
  assert.match(hint, /in the option `port`$/)
})

test('other errors stay as they are', () => {
  const other = new KtError('held', 'somebody has it', 'wait')
  assert.equal(exposeError(other, undefined), other)
})
