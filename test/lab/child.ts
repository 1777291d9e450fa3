// Talks to the lab's own programs, which live in other network namespaces: calls over Node's IPC channel, plain data
// both ways. A program ends when its lab does, for whatever reason, since the channel closes with it.
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

// biome-ignore lint/suspicious/noExplicitAny: the two sides agree by the type parameter of `startProgram`
export type Handlers = Record<string, (...args: any[]) => unknown>

/** What the other side sees of `H`: every call is asynchronous. */
export type Remote<H> = {
  [K in keyof H]: H[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never
}

export interface Program<H> {
  readonly call: Remote<H>
  readonly process: ChildProcess
}

type Answer = { id: number; result?: unknown; error?: string } | { ready: true }

/** In the program: answers calls until the channel closes, then exits. Call once it is ready to work. */
export function serve(handlers: Handlers): void {
  process.on('message', async ({ id, method, args }: { id: number; method: string; args: unknown[] }) => {
    try {
      process.send?.({ id, result: (await handlers[method](...args)) ?? null })
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? error.message : String(error) })
    }
  })
  process.send?.({ ready: true })
}

/** Starts `file` (beside this one) in a network namespace. Resolves when it has called `serve`. */
export async function startProgram<H>(netns: string, file: string, args: string[] = []): Promise<Program<H>> {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const child = spawn('nsenter', [`--net=/run/netns/${netns}`, process.execPath, path, ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced', // undefined stays undefined
  })
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  let next = 0
  const over = (why: string) => {
    for (const { reject } of waiting.values()) reject(new Error(`${file}: ${why}`))
    waiting.clear()
  }
  await new Promise<void>((resolve, reject) => {
    child.on('message', (answer: Answer) => {
      if ('ready' in answer) return resolve()
      const call = waiting.get(answer.id)
      waiting.delete(answer.id)
      if (answer.error !== undefined) call?.reject(new Error(answer.error))
      else call?.resolve(answer.result)
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      over(`ended (${signal ?? code})`)
      reject(new Error(`the lab's ${file} did not start (${signal ?? code})`))
    })
  })
  const call = new Proxy({} as Remote<H>, {
    get:
      (_, method: string) =>
      (...params: unknown[]) =>
        new Promise((resolve, reject) => {
          if (!child.connected) return reject(new Error(`${file}: not running`))
          waiting.set(++next, { resolve, reject })
          child.send({ id: next, method, args: params })
        }),
  })
  return { call, process: child }
}
