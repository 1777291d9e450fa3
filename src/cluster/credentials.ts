// What a request needs to be let in: headers and TLS material, from the user of the kubeconfig. What is a file is read
// at each use; what a plugin answered is kept until it expires or is refused.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { systemTime, type Time } from '../base/clock.ts'
import { tokenOfProvider } from './auth-provider.ts'
import type { PortForwardEndpoint } from './calls.ts'
import { NOT_FOUND, PluginError } from './command.ts'
import { clusterError, withSudoHint } from './errors.ts'
import type { Kubeconfig } from './kubeconfig.ts'
import type { Impersonation, Material, User } from './kubeconfig-entry.ts'
import type { PluginAnswer } from './messages.ts'
import { FileError, readNamedFile } from './named-file.ts'
import { type PluginSetting, runPlugin } from './plugin.ts'

/** For one request; tokens and certificates expire, so ask again for the next. */
export type Credentials = Pick<PortForwardEndpoint, 'headers' | 'tls'>

interface Kept {
  answer: Promise<PluginAnswer>
  expires: number
}

/** Answers of plugins that outlive this process: `undefined` forgets one. */
export interface PluginMemory {
  recall(id: string): PluginAnswer | undefined
  keep(id: string, answer: PluginAnswer | undefined): void
}

/** Gets credentials. A plugin runs once at a time, whoever waits for it. */
export class CredentialSource {
  readonly #setting: PluginSetting
  readonly #memory: PluginMemory | undefined
  readonly #time: Time
  /** Checking takes longer than all the rest of a request here. */
  #checkedPair = ''
  /** By plugin. */
  readonly #kept = new Map<string, Kept>()

  constructor(setting: PluginSetting, memory?: PluginMemory, time: Time = systemTime) {
    this.#setting = setting
    this.#memory = memory
    this.#time = time
  }

  /** Rejects with ClusterError `credentials` or `kubeconfig-invalid`. */
  async get(kubeconfig: Kubeconfig): Promise<Credentials> {
    const { user, cluster } = kubeconfig
    const ca = pem(cluster.ca, `the certificate-authority of ${cluster.where}`)
    let cert = pem(user.cert, `the client-certificate of ${user.where}`)
    let key = pem(user.key, `the client-key of ${user.where}`)
    let [authorization, whose] = authorizationOf(user)
    if (authorization === undefined && user.exec) {
      const answer = await this.#ask(kubeconfig, ca)
      whose = `the token of the credential plugin ${JSON.stringify(user.exec.command)}`
      if (answer.token) authorization = `Bearer ${answer.token}`
      cert = answer.cert ?? cert
      key = answer.key ?? key
    } else if (authorization === undefined && user.authProvider) {
      const token = await this.#provided(kubeconfig)
      if (token) authorization = `Bearer ${token}`
      whose = `the token of the auth-provider of ${user.where}`
    }
    if (authorization !== undefined) authorization = sendable(authorization, whose)
    const pair = `${cert}${key}`
    if (this.#checkedPair !== pair) checkPair(cert, key, user)
    this.#checkedPair = pair
    return {
      headers: {
        ...(authorization !== undefined && { Authorization: authorization }),
        ...(user.impersonate && impersonationHeaders(user.impersonate, user.where)),
      },
      tls: {
        ...(ca !== undefined && { ca }),
        ...(cert !== undefined && { cert }),
        ...(key !== undefined && { key }),
        ...(cluster.tlsServerName && { servername: cluster.tlsServerName }),
        rejectUnauthorized: !cluster.skipTlsVerify,
      },
    }
  }

  /** The API server did not accept these: a plugin is asked again, unless it has been meanwhile. */
  async refused({ headers, tls }: Credentials): Promise<void> {
    for (const [plugin, { answer }] of this.#kept) {
      const { token, cert } = await answer.catch(() => ({ token: undefined, cert: undefined }))
      const used = token ? headers['Authorization'] === `Bearer ${token}` : cert !== undefined && cert === tls.cert
      if (used && this.#kept.get(plugin)?.answer === answer) this.#forget(plugin)
    }
  }

  async #ask({ user, cluster, env }: Kubeconfig, caText: string | undefined): Promise<PluginAnswer> {
    const plugin = user.exec!
    const id = JSON.stringify([plugin, plugin.provideClusterInfo && cluster.server])
    let kept = this.#kept.get(id) ?? this.#recalled(id)
    if (!kept || kept.expires <= this.#time.wall()) {
      kept = {
        answer: runPlugin(plugin, { ...cluster, caText }, env, this.#setting, this.#time.clock),
        expires: Number.POSITIVE_INFINITY,
      }
      this.#keep(id, kept)
    }
    try {
      return await kept.answer
    } catch (error) {
      if (!(error instanceof PluginError)) throw error
      const own = error.hint === NOT_FOUND ? plugin.installHint?.trim().split('\n')[0] : undefined
      const text = `the credential plugin ${JSON.stringify(plugin.command)} of user ${JSON.stringify(user.name)} ${error.message}`
      throw withSudoHint(clusterError('credentials', text, own ?? error.hint), env)
    }
  }

  #keep(id: string, kept: Kept): void {
    this.#kept.set(id, kept)
    kept.answer.then(
      (answer) => {
        kept.expires = answer.expires ?? Number.POSITIVE_INFINITY
        this.#memory?.keep(id, answer)
      },
      () => {
        if (this.#kept.get(id) === kept) this.#kept.delete(id)
      },
    )
  }

  #recalled(id: string): Kept | undefined {
    const answer = this.#memory?.recall(id)
    if (!answer) return undefined
    const kept = { answer: Promise.resolve(answer), expires: answer.expires ?? Number.POSITIVE_INFINITY }
    this.#kept.set(id, kept)
    return kept
  }

  #forget(id: string): void {
    this.#kept.delete(id)
    this.#memory?.keep(id, undefined)
  }

  async #provided({ user, env }: Kubeconfig): Promise<string | undefined> {
    try {
      return await tokenOfProvider(user.authProvider!, env, this.#setting.said, this.#time)
    } catch (error) {
      const what = error instanceof PluginError ? 'the command of its auth-provider ' : ''
      const text = `no credentials for user ${JSON.stringify(user.name)}: ${what}${(error as Error).message}`
      throw withSudoHint(clusterError('credentials', text), env)
    }
  }
}

/** `Authorization` of what the kubeconfig holds itself, and whose it is. Throws ClusterError. */
function authorizationOf(user: User): [value: string | undefined, whose: string] {
  const { tokenFile, token, username, password, where } = user
  if (tokenFile !== undefined) {
    try {
      const text = readNamedFile(tokenFile).trim()
      if (text === '') throw new FileError('is empty')
      return [`Bearer ${text}`, `the token in ${tokenFile}`]
    } catch (error) {
      if (!(error instanceof FileError)) throw error
      // As client-go: the token beside it is then as good as any.
      if (token === undefined)
        throw clusterError('kubeconfig-invalid', `the tokenFile ${tokenFile} of ${where} ${error.message}`)
    }
  }
  if (token !== undefined) return [`Bearer ${token}`, `the token of ${where}`]
  if (username || password)
    return [`Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`, `the password of ${where}`]
  return [undefined, '']
}

/** Throws ClusterError that names the file. */
function pem(material: Material | undefined, what: string): string | undefined {
  if (!material) return undefined
  const shown = 'file' in material ? `${what}, ${material.file},` : what
  const invalid = (why: string) => clusterError('kubeconfig-invalid', `${shown} ${why}`)
  let text: string
  try {
    text = 'data' in material ? material.data : readNamedFile(material.file)
  } catch (error) {
    if (error instanceof FileError) throw invalid(error.message)
    throw error
  }
  if (!text.includes('-----BEGIN ')) throw invalid('is not in the PEM format')
  return text
}

/** What TLS would refuse with the words of a library. */
function checkPair(cert: string | undefined, key: string | undefined, { where }: User): void {
  if ((cert === undefined) !== (key === undefined))
    throw clusterError(
      'kubeconfig-invalid',
      `${where} has a client ${cert ? 'certificate without a key' : 'key without a certificate'}`,
    )
  if (cert === undefined || key === undefined) return
  let what = 'certificate'
  try {
    const certificate = new X509Certificate(cert)
    what = 'key'
    const own = createPrivateKey(key)
    if (certificate.checkPrivateKey(own)) return
  } catch (error) {
    throw clusterError(
      'kubeconfig-invalid',
      `the client ${what} of ${where} cannot be read: ${(error as Error).message}`,
    )
  }
  throw clusterError(
    'kubeconfig-invalid',
    `the client certificate and the client key of ${where} do not belong together`,
  )
}

/** `value` as its bytes go out. RFC 9110 5.5: a line break in it would begin another header. Throws ClusterError. */
function sendable(value: string, what: string): string {
  const bad = /[\x00-\x08\x0a-\x1f\x7f]/.exec(value)
  if (!bad) return Buffer.from(value).toString('latin1')
  const kind = /[\r\n]/.test(bad[0]) ? 'a line break' : 'a control character'
  const hint = 'copy it again, without what is around it'
  throw clusterError('kubeconfig-invalid', `${what} holds ${kind}, which cannot be sent`, hint)
}

function impersonationHeaders({ user, uid, groups, extra }: Impersonation, where: string): Credentials['headers'] {
  const checked = (value: string) => sendable(value, `what ${where} is to act as`)
  // client-go's transport/round_trippers.go: names of extra fields are escaped as in a URL.
  const escaped = (key: string) =>
    Buffer.from(key)
      .toString('latin1')
      .replace(/[^!#$&'*+.^_`|~0-9A-Za-z-]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
  return {
    'Impersonate-User': checked(user),
    ...(uid && { 'Impersonate-Uid': checked(uid) }),
    ...(groups.length > 0 && { 'Impersonate-Group': groups.map(checked) }),
    ...Object.fromEntries(
      Object.entries(extra)
        .filter(([, values]) => values.length > 0)
        .map(([key, values]) => [`Impersonate-Extra-${escaped(key)}`, values.map(checked)]),
    ),
  }
}
