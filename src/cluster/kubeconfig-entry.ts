// What the entries of a kubeconfig in use say: the fields of client-go's tools/clientcmd/api/v1, with their types
// checked. `disable-compression` needs nothing: kt never asks for a compressed answer.
import { dirname, isAbsolute, join } from 'node:path'
import { ClusterError } from './calls.ts'
import { isObject, type RawEntry, textOf } from './kubeconfig-file.ts'

/** PEM in the kubeconfig itself, or a file that is read at each use. */
export type Material = { data: string } | { file: string }

export interface Cluster {
  name: string
  /** An http(s) URL. */
  server: string
  tlsServerName: string | undefined
  skipTlsVerify: boolean
  ca: Material | undefined
  proxyUrl: string | undefined
  /** Extension `client.authentication.k8s.io/exec`, for plugins that want to know the cluster. */
  execExtension: unknown
  /** For errors: `cluster "c" in FILE`. */
  where: string
}

export interface User {
  name: string
  cert: Material | undefined
  key: Material | undefined
  token: string | undefined
  /** Read at each use; beats `token` while it can be read. */
  tokenFile: string | undefined
  username: string
  password: string
  impersonate: Impersonation | undefined
  exec: Plugin | undefined
  /** The way before plugins: `oidc`, `gcp`, `azure`. */
  authProvider: { name: string; config: Record<string, string> } | undefined
  where: string
}

export interface Impersonation {
  user: string
  uid: string | undefined
  groups: string[]
  extra: Record<string, string[]>
}

/** `exec` of a user. */
export interface Plugin {
  apiVersion: string
  command: string
  args: string[]
  env: { name: string; value: string }[]
  installHint: string | undefined
  provideClusterInfo: boolean
  interactiveMode: 'Never' | 'IfAvailable' | 'Always'
}

/** `encrypted`: TLS is meant where the server has no scheme. Throws ClusterError kubeconfig-invalid. */
export function readCluster(entry: RawEntry, encrypted: boolean): Cluster {
  const fields = new Fields(entry, 'cluster')
  const { where } = fields
  const skipTlsVerify = fields.flag('insecure-skip-tls-verify')
  const ca = fields.material('certificate-authority')
  const extensions = entry.body['extensions']
  return {
    name: entry.name,
    server: serverUrl(fields, encrypted || skipTlsVerify || ca !== undefined),
    tlsServerName: fields.text('tls-server-name'),
    skipTlsVerify,
    ca,
    proxyUrl: fields.text('proxy-url'),
    execExtension: (Array.isArray(extensions) ? extensions : [])
      .filter(isObject)
      .find(({ name }) => name === 'client.authentication.k8s.io/exec')?.['extension'],
    where,
  }
}

/** Throws ClusterError kubeconfig-invalid. */
export function readUser(entry: RawEntry): User {
  const fields = new Fields(entry, 'user')
  const tokenFile = fields.text('tokenFile')
  return {
    name: entry.name,
    cert: fields.material('client-certificate'),
    key: fields.material('client-key'),
    token: fields.text('token'),
    tokenFile: tokenFile && fields.path(tokenFile),
    username: fields.text('username') ?? '',
    password: fields.text('password') ?? '',
    impersonate: impersonationOf(fields),
    exec: pluginOf(fields),
    authProvider: authProviderOf(fields),
    where: fields.where,
  }
}

function serverUrl(fields: Fields, encrypted: boolean): string {
  const server = fields.text('server')
  if (!server) throw fields.invalid('has no server')
  // As client-go: without a scheme it is https where anything about TLS is said.
  const url = server.includes('://') ? server : `${encrypted ? 'https' : 'http'}://${server}`
  if (!URL.canParse(url) || !/^https?:/.test(url))
    throw fields.invalid(`has the server ${JSON.stringify(server)}, which is no http(s) URL`)
  return url.replace(/\/+$/, '')
}

function impersonationOf(fields: Fields): Impersonation | undefined {
  const user = fields.text('as')
  const uid = fields.text('as-uid')
  const groups = fields.texts('as-groups')
  const extra = fields.textLists('as-user-extra')
  if (user) return { user, uid, groups, extra }
  if (uid || groups.length > 0 || Object.keys(extra).length > 0)
    throw fields.invalid('has as-uid, as-groups or as-user-extra, and no `as`')
  return undefined
}

function pluginOf(fields: Fields): Plugin | undefined {
  const body = fields.object('exec')
  if (!body) return undefined
  const exec = new Fields({ ...fields.entry, body }, 'user', 'exec.')
  const command = exec.text('command')
  if (!command) throw exec.invalid('has no exec.command')
  const mode = exec.text('interactiveMode') ?? 'IfAvailable'
  if (mode !== 'Never' && mode !== 'IfAvailable' && mode !== 'Always')
    throw exec.invalid(`has the unknown exec.interactiveMode ${JSON.stringify(mode)}`)
  const env = body['env'] ?? []
  if (!Array.isArray(env) || !env.every(isObject))
    throw exec.invalid('has an exec.env that is no list of names and values')
  return {
    apiVersion: exec.text('apiVersion') ?? 'client.authentication.k8s.io/v1',
    // A command with a slash is relative to the kubeconfig, one without is looked up in PATH.
    command: command.includes('/') ? exec.path(command) : command,
    args: exec.texts('args'),
    env: env.map(({ name, value }) => ({ name: textOf(name), value: textOf(value) })).filter(({ name }) => name !== ''),
    installHint: exec.text('installHint'),
    provideClusterInfo: exec.flag('provideClusterInfo'),
    interactiveMode: mode,
  }
}

function authProviderOf(fields: Fields): User['authProvider'] {
  const body = fields.object('auth-provider')
  if (!body) return undefined
  const config = isObject(body['config']) ? body['config'] : {}
  return {
    name: textOf(body['name']),
    config: Object.fromEntries(Object.entries(config).map(([key, value]) => [key, textOf(value)])),
  }
}

/** The fields of one entry, by type. */
class Fields {
  readonly entry: RawEntry
  readonly where: string
  readonly #prefix: string

  constructor(entry: RawEntry, kind: 'cluster' | 'user', prefix = '') {
    this.entry = entry
    this.where = `${kind} ${JSON.stringify(entry.name)} in ${entry.file}`
    this.#prefix = prefix
  }

  invalid(what: string): ClusterError {
    return new ClusterError('kubeconfig-invalid', `${this.where} ${what}`, 'mend the kubeconfig')
  }

  /** Undefined where there is none or it is empty. */
  text(key: string): string | undefined {
    const value = this.entry.body[key]
    if (value === undefined || value === null || value === '') return undefined
    if (typeof value === 'object') throw this.invalid(`has a ${this.#prefix}${key} that is no text`)
    return String(value)
  }

  flag(key: string): boolean {
    const value = this.entry.body[key] ?? false
    if (typeof value === 'boolean') return value
    throw this.invalid(`has a ${this.#prefix}${key} that is neither true nor false`)
  }

  texts(key: string): string[] {
    return this.#list(this.entry.body[key] ?? [], key)
  }

  textLists(key: string): Record<string, string[]> {
    const lists = Object.entries(this.object(key) ?? {})
    return Object.fromEntries(lists.map(([name, list]) => [name, this.#list(list ?? [], key)]))
  }

  object(key: string): Record<string, unknown> | undefined {
    const value = this.entry.body[key]
    if (value === undefined || value === null) return undefined
    if (!isObject(value)) throw this.invalid(`has a ${this.#prefix}${key} that holds no keys`)
    return value
  }

  /** `KEY-data`, which comes first, or the file KEY. */
  material(key: string): Material | undefined {
    const data = this.text(`${key}-data`)
    if (data !== undefined) {
      if (!/^[A-Za-z0-9+/\s]+={0,2}\s*$/.test(data)) throw this.invalid(`has a ${key}-data that is not base64`)
      return { data: Buffer.from(data, 'base64').toString() }
    }
    const file = this.text(key)
    return file === undefined ? undefined : { file: this.path(file) }
  }

  /** Paths are relative to their kubeconfig. */
  path(path: string): string {
    return isAbsolute(path) ? path : join(dirname(this.entry.file), path)
  }

  #list(value: unknown, key: string): string[] {
    if (!Array.isArray(value) || value.some((each) => typeof each === 'object' && each !== null))
      throw this.invalid(`has a ${this.#prefix}${key} that is no list of texts`)
    return value.map((each) => String(each ?? ''))
  }
}
