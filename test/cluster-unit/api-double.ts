// An API server's double: answers by path, records what was asked, and a kubeconfig that leads to it.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Api, type ApiOptions } from '../../src/cluster/api.ts'
import { type Environment, loadKubeconfig } from '../../src/cluster/kubeconfig.ts'

export interface Asked {
  method: string
  path: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
  body: unknown
}

/** Returns [status, body], or undefined when it has answered by itself. */
export type Answerer = (asked: Asked, response: ServerResponse) => [number, unknown] | undefined

export class ApiDouble implements AsyncDisposable {
  readonly asked: Asked[] = []
  readonly folder = mkdtempSync(join(tmpdir(), 'kt-api-double-'))
  readonly #server
  readonly #apis: Api[] = []

  private constructor(answer: Answerer) {
    this.#server = createServer(async (request, response) => {
      const url = new URL(request.url!, 'http://double')
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const text = Buffer.concat(chunks).toString()
      const asked = {
        method: request.method!,
        path: url.pathname,
        query: url.searchParams,
        headers: request.headers,
        body: text ? JSON.parse(text) : undefined,
      }
      this.asked.push(asked)
      const result = answer(asked, response)
      if (!result) return
      response.writeHead(result[0], { 'content-type': 'application/json' }).end(JSON.stringify(result[1]))
    })
  }

  static async start(answer: Answerer): Promise<ApiDouble> {
    const double = new ApiDouble(answer)
    await new Promise<void>((resolve) => double.#server.listen(0, '127.0.0.1', resolve))
    return double
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  kubeconfig(user: object = { token: 'sesame' }, cluster: object = {}): string {
    const file = join(this.folder, 'config')
    writeFileSync(
      file,
      JSON.stringify({
        clusters: [{ name: 'c', cluster: { server: this.url, ...cluster } }],
        users: [{ name: 'u', user }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'shop' } }],
        'current-context': 'x',
      }),
    )
    return file
  }

  api(kubeconfig = this.kubeconfig(), env: Environment = {}, options: ApiOptions = {}): Api {
    const api = new Api(() => loadKubeconfig({ kubeconfig }, env), options)
    this.#apis.push(api)
    return api
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const api of this.#apis) api.close()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
    rmSync(this.folder, { recursive: true })
  }
}

export const forbidden = (what: string): [number, unknown] => [
  403,
  { kind: 'Status', code: 403, message: `${what} is forbidden: User "u" cannot list resource "${what}"` },
]
