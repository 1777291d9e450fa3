// gRPC as its own library speaks it, through the router: calls of all four kinds, status, metadata, deadlines, cancelling.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, describe, it } from 'node:test'
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  type Metadata,
  Metadata as MetadataOf,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type ServiceError,
  status,
  type UntypedHandleCall,
} from '@grpc/grpc-js'
import { until } from '../support/until.ts'
import { dialPort, dialStream, startRouter } from './support.ts'

const closing: (() => void)[] = []
after(() => {
  for (const close of closing) close()
})

const text = { serialize: (value: string) => Buffer.from(value), deserialize: (bytes: Buffer) => bytes.toString() }
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: text.serialize,
  requestDeserialize: text.deserialize,
  responseSerialize: text.serialize,
  responseDeserialize: text.deserialize,
})
const definition: ServiceDefinition = {
  One: method('One', false, false),
  Fail: method('Fail', false, false),
  Gather: method('Gather', true, false),
  Spread: method('Spread', false, true),
  Talk: method('Talk', true, true),
}

const cancelled: string[] = []

async function serve(name: string): Promise<number> {
  const server = new Server()
  // biome-ignore lint/suspicious/noExplicitAny: the library's handlers have a type for each kind of call
  const handlers: Record<string, (call: any, answer: any) => void> = {
    One: (call, answer) => {
      const trailers = new MetadataOf()
      trailers.set('x-trailer', name)
      answer(null, `${name} ${call.request} ${call.metadata.get('x-forwarded-for')}`, trailers)
    },
    Fail: (_call, answer) => answer({ code: status.FAILED_PRECONDITION, details: `${name} says no: ü` }),
    Gather: (call, answer) => {
      let sum = ''
      call.on('data', (message: string) => (sum += message))
      call.on('end', () => answer(null, `${name} ${sum}`))
    },
    Spread: (call) => {
      for (let i = 0; i < Number(call.request); i++) call.write(`${name} ${i}`)
      if (Number(call.request) > 0) call.end()
      call.on('cancelled', () => cancelled.push(name))
    },
    Talk: (call) => {
      call.on('data', (message: string) => call.write(`${name} ${message}`))
      call.on('end', () => call.end())
    },
  }
  server.addService(definition, handlers as Record<string, UntypedHandleCall>)
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  )
  closing.push(() => server.forceShutdown())
  return port
}

const Client = makeGenericClientConstructor(definition, 'Echo')

describe('gRPC', () => {
  it('calls of all kinds go where their metadata says, on one connection', async () => {
    const between = await startRouter(dialPort(await serve('there')), {
      version: 'abc',
      dial: dialStream(await serve('here')),
    })
    const client = new Client(`127.0.0.1:${between.port}`, credentials.createInsecure())
    closing.push(() => {
      client.close()
      between.close()
    })
    for (const [version, name] of [
      ['abc', 'here'],
      ['other', 'there'],
      ['abc', 'here'],
    ]) {
      const metadata = new MetadataOf()
      metadata.set('kt-version', version)
      // biome-ignore lint/suspicious/noExplicitAny: a generic client has no types
      const call = (method: string, ...args: any[]) => (client[method] as any).call(client, ...args)

      const [answer, trailers] = await new Promise<[string, Metadata]>((resolve, reject) => {
        let value = ''
        const one = call('One', 'hi', metadata, (error: ServiceError | null, got: string) => {
          if (error) reject(error)
          value = got
        })
        one.on('status', (s: { metadata: Metadata }) => resolve([value, s.metadata]))
      })
      assert.equal(answer, `${name} hi 10.1.2.3`)
      assert.deepEqual(trailers.get('x-trailer'), [name])

      const error = await new Promise<ServiceError>((resolve) =>
        call('Fail', 'x', metadata, (failed: ServiceError) => resolve(failed)),
      )
      assert.equal(error.code, status.FAILED_PRECONDITION)
      assert.equal(error.details, `${name} says no: ü`)

      const gathered = await new Promise<string>((resolve, reject) => {
        const gather = call('Gather', metadata, (e: ServiceError | null, got: string) => (e ? reject(e) : resolve(got)))
        for (const part of ['a', 'b', 'c']) gather.write(part)
        gather.end()
      })
      assert.equal(gathered, `${name} abc`)

      const spread = call('Spread', '500', metadata) as ClientReadableStream<string>
      let count = 0
      for await (const message of spread) assert.equal(message, `${name} ${count++}`)
      assert.equal(count, 500)

      const talk = call('Talk', metadata) as ClientDuplexStream<string, string>
      for (const message of ['x', 'y'.repeat(300_000), 'z']) {
        talk.write(message)
        const [back] = await once(talk, 'data')
        assert.equal(back, `${name} ${message}`)
      }
      talk.end()
      await once(talk.resume(), 'end')

      const before = cancelled.length
      const endless = call('Spread', '0', metadata) as ClientReadableStream<string>
      endless.on('error', () => {})
      setTimeout(() => endless.cancel(), 50)
      await until('the cancelling arrives', () => cancelled.length > before)
      assert.equal(cancelled.at(-1), name)
    }
  })

  it('a version that nobody serves is UNAVAILABLE, with why', async () => {
    const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
    const between = await startRouter(dialPort(await serve('there')), {
      version: 'off',
      dial: () => Promise.reject(refused),
    })
    const client = new Client(`127.0.0.1:${between.port}`, credentials.createInsecure())
    closing.push(() => {
      client.close()
      between.close()
    })
    const metadata = new MetadataOf()
    metadata.set('kt-version', 'off')
    const error = await new Promise<ServiceError>((resolve) =>
      // biome-ignore lint/suspicious/noExplicitAny: a generic client has no types
      (client.One as any).call(client, 'hi', metadata, resolve),
    )
    assert.equal(error.code, status.UNAVAILABLE)
    assert.match(error.details, /nothing accepts connections where requests with "kt-version: off" are to go/)
  })
})
