// A small API server that can misbehave on command: HTTPS, the paths kt uses (and their neighbours, since the objects
// are generic), watches, access reviews, port-forward. jobs.ts makes pods of its Jobs, access.ts says who may what.

import type { IncomingMessage, ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Attempt, authenticate, authorize, forbiddenMessage, type User, type UserName } from './access.ts'
import { apiVersion, type ParsedPath, parsePath, populate, resources } from './api-resources.ts'
import { type Faults, noFaults } from './faults.ts'
import { Kubelet } from './jobs.ts'
import { PortForwards } from './port-forward.ts'
import { jsonPatch, type KubeObject, matches, mergePatch, ObjectStore, type Selection } from './store.ts'
import { ranges } from './topology.ts'

export interface ApiServerOptions {
  host: string
  port: number
  cert: string
  key: string
  ca: string
  tokens: Record<string, UserName>
  /** An empty folder for the pods' files. */
  directory: string
}

interface Request {
  user: User
  path: ParsedPath
  attempt: Attempt
  query: URLSearchParams
  body: KubeObject
  contentType: string
}

/** An answer that is not the object asked for: Kubernetes' Status. */
class StatusError extends Error {
  readonly code: number
  readonly reason: string
  constructor(code: number, reason: string, message: string) {
    super(message)
    this.code = code
    this.reason = reason
  }
}

const verbs: Record<string, string> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }

export class ApiServer {
  readonly store = new ObjectStore()
  readonly faults: Faults = noFaults()
  readonly forwards = new PortForwards(this.faults)
  readonly kubelet: Kubelet
  /** `VERB RESOURCE[/SUBRESOURCE]` of every request, in order. */
  readonly requests: string[] = []
  readonly #options: ApiServerOptions
  #server: https.Server | undefined

  constructor(options: ApiServerOptions) {
    this.#options = options
    this.kubelet = new Kubelet(this.store, this.faults, options.directory)
    populate(this.store)
  }

  get port(): number {
    return (this.#server!.address() as AddressInfo).port
  }

  async start(): Promise<void> {
    const { host, port, cert, key, ca } = this.#options
    const server = https.createServer({ cert, key, ca, requestCert: true, rejectUnauthorized: false })
    server.on('request', (request, response) => this.#serve(request, response))
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.on('error', reject)
      server.listen(port, host, resolve)
    })
  }

  /** Stops answering: connections and port-forwards end, objects and pods stay. */
  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    this.forwards.drop()
    server?.closeAllConnections()
    if (server) await new Promise((resolve) => server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await readBody(request)
      await this.#wait()
      const parsed = this.#open(request, body)
      if (parsed === undefined) return send(response, 200, { major: '1', minor: '34', gitVersion: 'v1.34.0-lab' })
      if (parsed.attempt.verb === 'watch') return this.#watch(parsed, response)
      if (parsed.path.subresource === 'log') {
        response.end(this.kubelet.log(parsed.path.name!))
        return
      }
      const [code, object] = this.#answer(parsed)
      send(response, code, object)
    } catch (error) {
      sendError(response, error)
    }
  }

  /** Who asks what, with all refusals made. Undefined for the paths that say the server lives. */
  #open(request: IncomingMessage, body: string): Request | undefined {
    const url = new URL(request.url ?? '/', 'https://lab')
    const query = url.searchParams
    if (/^\/(version|readyz|livez|healthz)$/.test(url.pathname)) return undefined
    const user = this.faults.unauthorized ? undefined : authenticate(request, this.#options.tokens)
    if (!user) throw new StatusError(401, 'Unauthorized', 'Unauthorized')
    const path = parsePath(url.pathname)
    if (!path || (path.resource.plural === 'servicecidrs' && this.faults.noServiceCidrs))
      throw new StatusError(404, 'NotFound', 'the server could not find the requested resource')
    const read = query.get('watch') === 'true' || query.get('watch') === '1' ? 'watch' : path.name ? 'get' : 'list'
    const verb = verbs[request.method ?? ''] ?? read
    const { group, plural } = path.resource
    const { namespace, name, subresource } = path
    const attempt: Attempt = { verb, group, resource: plural, namespace, name, subresource }
    this.requests.push(`${verb} ${plural}${subresource ? `/${subresource}` : ''}`)
    if (!authorize(user, attempt, this.faults.forbid))
      throw new StatusError(403, 'Forbidden', forbiddenMessage(user, attempt))
    const contentType = request.headers['content-type'] ?? ''
    return {
      user,
      path,
      attempt,
      query,
      body: body === '' ? { metadata: { name: '' } } : JSON.parse(body),
      contentType,
    }
  }

  #answer(request: Request): [number, unknown] {
    const { path, attempt } = request
    const { plural, kind } = path.resource
    if (kind.startsWith('SelfSubject')) return [201, this.#review(request)]
    if (attempt.verb === 'create') return [201, this.#create(request)]
    if (attempt.verb === 'list') {
      const items = this.store.list(selection(request))
      const version = this.store.version
      return [
        200,
        { kind: `${kind}List`, apiVersion: apiVersion(path.resource), metadata: { resourceVersion: version }, items },
      ]
    }
    if (attempt.verb === 'delete' && !path.name) {
      for (const object of this.store.list(selection(request))) this.#delete(request, object)
      return [200, { kind: 'Status', apiVersion: 'v1', status: 'Success' }]
    }
    const found = this.store.get(plural, path.namespace, path.name!)
    if (!found) throw notFound(plural, path.name!)
    if (attempt.verb === 'get') return [200, found]
    if (attempt.verb === 'delete') return [200, this.#delete(request, found)]
    return [200, this.#change(request, found)]
  }

  #create({ path, body, query }: Request): KubeObject {
    const { plural, kind } = path.resource
    if (path.namespace && !this.store.get('namespaces', undefined, path.namespace))
      throw notFound('namespaces', path.namespace)
    if (plural === 'jobs' && this.faults.refuseJobs !== undefined)
      throw new StatusError(403, 'Forbidden', this.faults.refuseJobs)
    if (plural === 'services') checkClusterIp(body)
    body.metadata ??= { name: '' }
    if (path.namespace) body.metadata.namespace = path.namespace
    body.apiVersion ??= apiVersion(path.resource)
    body.kind ??= kind
    if (query.get('dryRun') === 'All') return body
    const created = this.store.create(plural, body)
    if (!created) throw new StatusError(409, 'AlreadyExists', `${plural} "${body.metadata.name}" already exists`)
    return created
  }

  #change({ path, attempt, body, contentType }: Request, found: KubeObject): KubeObject {
    const changed =
      attempt.verb === 'update'
        ? body
        : contentType.includes('json-patch')
          ? jsonPatch(found, body as unknown as { op: string; path: string; value?: unknown }[])
          : (mergePatch(found, body) as KubeObject)
    const before = attempt.verb === 'update' ? body.metadata.resourceVersion : undefined
    if (before !== undefined && before !== found.metadata.resourceVersion)
      throw new StatusError(409, 'Conflict', `${path.resource.plural} "${path.name}": the object has been modified`)
    changed.metadata = { ...changed.metadata, uid: found.metadata.uid }
    return this.store.replace(path.resource.plural, changed)
  }

  #delete({ path, body, query }: Request, object: KubeObject): unknown {
    const wanted = body.preconditions?.uid
    if (wanted !== undefined && wanted !== object.metadata.uid)
      throw new StatusError(409, 'Conflict', `the UID in the precondition (${wanted}) does not match`)
    const grace = body.gracePeriodSeconds ?? query.get('gracePeriodSeconds')
    if (path.resource.plural === 'pods')
      this.kubelet.deletePod(object, Number(grace ?? object.spec?.terminationGracePeriodSeconds ?? 30))
    else this.store.remove(path.resource.plural, object.metadata.namespace, object.metadata.name)
    return { kind: 'Status', apiVersion: 'v1', status: 'Success' }
  }

  #review({ user, body, path }: Request): KubeObject {
    const { verb = '', group = '', resource = '', namespace, name, subresource } = body.spec?.resourceAttributes ?? {}
    const attempt: Attempt = { verb, group, resource, namespace, name, subresource }
    const allowed = authorize(user, attempt, this.faults.forbid)
    const status =
      path.resource.kind === 'SelfSubjectReview'
        ? { userInfo: { username: user.name, groups: user.groups } }
        : { allowed }
    return { ...body, apiVersion: apiVersion(path.resource), kind: path.resource.kind, status }
  }

  #watch(request: Request, response: ServerResponse): void {
    const wanted = selection(request)
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    const tell = (type: string, object: KubeObject) => response.write(`${JSON.stringify({ type, object })}\n`)
    const from = request.query.get('resourceVersion')
    if (!from || from === '0') for (const object of this.store.list(wanted)) tell('ADDED', object)
    else
      for (const { type, resource, object } of this.store.since(from))
        if (resource === wanted.resource && matches(object, wanted)) tell(type, object)
    const stop = this.store.subscribe(({ type, resource, object }) => {
      if (resource === wanted.resource && matches(object, wanted)) tell(type, object)
    })
    const seconds = Number(request.query.get('timeoutSeconds') ?? 0)
    const timer = seconds > 0 ? setTimeout(() => response.end(), seconds * 1000) : undefined
    response.on('close', () => {
      clearTimeout(timer)
      stop()
    })
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy())
    try {
      await this.#wait()
      const parsed = this.#open(request, '')
      // No SPDY here: kt falls back to WebSockets, which the lab's faults are made for.
      if (request.method !== 'GET') throw new StatusError(405, 'MethodNotAllowed', 'the server does not speak SPDY')
      if (parsed?.path.subresource !== 'portforward') throw new StatusError(400, 'BadRequest', 'no upgrade here')
      const name = parsed.path.name!
      if (!this.store.get('pods', parsed.path.namespace, name)) throw notFound('pods', name)
      const port = Number(parsed.query.get('ports'))
      const target = this.kubelet.port(name, port)
      if (this.faults.refuseForward || target === undefined)
        throw new StatusError(500, 'InternalError', `error upgrading connection: pod ${name} does not run`)
      this.forwards.accept(request, socket, head, port, target)
    } catch (error) {
      const { code, reason, message } = asStatus(error)
      const body = JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message })
      const length = Buffer.byteLength(body)
      socket.end(
        `HTTP/1.1 ${code} ${reason}\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n${body}`,
      )
    }
  }

  async #wait(): Promise<void> {
    if (this.faults.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.faults.delayMs))
  }
}

function selection({ path, query }: Request): Selection {
  const name = path.name === undefined ? [] : [`metadata.name=${path.name}`]
  return {
    resource: path.resource.plural,
    namespace: path.namespace,
    labelSelector: query.get('labelSelector') ?? undefined,
    fieldSelector: [...name, ...(query.get('fieldSelector') ? [query.get('fieldSelector')!] : [])].join(','),
  }
}

// kube-apiserver's own words for an address outside its range: they tell the range to who may not read ServiceCIDRs.
function checkClusterIp(service: KubeObject): void {
  const text: string | undefined = service.spec?.clusterIP ?? service.spec?.clusterIPs?.[0]
  if (!text || text === 'None') return
  const family6 = text.includes(':')
  const range = ranges.services[family6 ? 1 : 0]
  if (text.startsWith(family6 ? 'fd00:112::' : '10.112.')) return
  const path = `spec.clusterIPs: Invalid value: ["${text}"]: failed to allocate IP ${text}`
  throw new StatusError(
    422,
    'Invalid',
    `Service "${service.metadata?.name}" is invalid: ${path}: the provided IP (${text}) is not in the valid range. The range of valid IPs is ${range}`,
  )
}

const notFound = (plural: string, name: string) => {
  const group = resources.find((r) => r.plural === plural)?.group
  return new StatusError(404, 'NotFound', `${plural}${group ? `.${group}` : ''} "${name}" not found`)
}

const asStatus = (error: unknown): StatusError =>
  error instanceof StatusError ? error : new StatusError(500, 'InternalError', String(error))

function sendError(response: ServerResponse, error: unknown): void {
  const { code, reason, message } = asStatus(error)
  send(response, code, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code })
}

function send(response: ServerResponse, code: number, object: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(`${JSON.stringify(object)}\n`)
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
