// Runs a credential plugin of a kubeconfig as client-go does (client.authentication.k8s.io; kubernetes.io/docs: client-go
// credential plugins).
import { closeSync, constants, openSync } from 'node:fs'
import { isatty } from 'node:tty'
import type { Clock } from '../base/clock.ts'
import { PluginError, runCommand } from './command.ts'
import type { Cluster, Plugin } from './kubeconfig-entry.ts'
import type { Environment } from './kubeconfig-file.ts'
import type { PluginAnswer } from './messages.ts'

/** How a person takes part in what a plugin does. */
export interface PluginSetting {
  /** Path of the terminal that a person reads and writes at this moment; undefined where there is none. */
  terminal(): string | undefined
  /** A line of what the plugin writes to standard error. */
  said(line: string): void
}

/** Rejects with PluginError. */
export async function runPlugin(
  plugin: Plugin,
  cluster: Cluster & { caText: string | undefined },
  env: Environment,
  setting: PluginSetting,
  clock: Clock,
): Promise<PluginAnswer> {
  const terminal = plugin.interactiveMode === 'Never' ? undefined : openTerminal(setting.terminal())
  if (plugin.interactiveMode === 'Always' && terminal === undefined)
    throw new PluginError(
      'must be run in a terminal (its interactiveMode is Always), and there is none here',
      'run the command in a terminal; while kt runs in the background, `kt down` and `kt up` log in again',
    )
  try {
    const info = execInfo(plugin, cluster, terminal !== undefined)
    const own = Object.fromEntries(plugin.env.map(({ name, value }) => [name, value]))
    const all = { ...env, ...own, KUBERNETES_EXEC_INFO: info }
    return parseAnswer(await runCommand(plugin.command, plugin.args, all, { terminal, said: setting.said, clock }))
  } finally {
    if (terminal !== undefined) closeSync(terminal)
  }
}

/** A descriptor, or undefined where the terminal is not this user's, or is gone. */
function openTerminal(path: string | undefined): number | undefined {
  if (path === undefined) return undefined
  try {
    // The terminal stays that of whoever owns it.
    const fd = openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK)
    if (isatty(fd)) return fd
    closeSync(fd)
  } catch {
    // Under sudo it may be root's.
  }
  return undefined
}

function execInfo(plugin: Plugin, cluster: Cluster & { caText: string | undefined }, interactive: boolean): string {
  const info = {
    apiVersion: plugin.apiVersion,
    kind: 'ExecCredential',
    spec: {
      interactive,
      ...(plugin.provideClusterInfo && {
        cluster: {
          server: cluster.server,
          'tls-server-name': cluster.tlsServerName,
          'insecure-skip-tls-verify': cluster.skipTlsVerify || undefined,
          'certificate-authority-data': cluster.caText && Buffer.from(cluster.caText).toString('base64'),
          'proxy-url': cluster.proxyUrl,
          config: isSmall(cluster.execExtension) ? cluster.execExtension : undefined,
        },
      }),
    },
  }
  return JSON.stringify(info)
}

// Aliases of YAML can make a few lines into a text of gigabytes.
function isSmall(value: unknown): boolean {
  let left = 10_000
  const count = (one: unknown): boolean => {
    if (--left < 0) return false
    return typeof one !== 'object' || one === null || Object.values(one).every(count)
  }
  return count(value)
}

/** Throws PluginError. */
function parseAnswer(output: string): PluginAnswer {
  let answer: unknown
  try {
    answer = JSON.parse(output)
  } catch (error) {
    throw new PluginError(`failed: its answer is no JSON (${(error as Error).message})`)
  }
  const { status } = (answer ?? {}) as { status?: Record<string, unknown> | null }
  const field = (name: string) => (typeof status?.[name] === 'string' && status[name] !== '' ? status[name] : undefined)
  const token = field('token')
  const cert = field('clientCertificateData')
  const key = field('clientKeyData')
  if (!token && !(cert && key)) throw new PluginError('failed: its answer has no status with a token or certificate')
  const expires = Date.parse(field('expirationTimestamp') ?? '')
  return { token, cert, key, expires: Number.isNaN(expires) ? undefined : expires }
}
