// `kt proxy`: a SOCKS and HTTP proxy into the cluster on this machine's loopback, until Ctrl-C.
import { type Command, InvalidArgumentError } from 'commander'
import { exportLine, systemFacts } from '../../base/system.ts'
import type { ProxyConfig } from '../../control/holder.ts'
import type { ProxyStatus } from '../../control/protocol.ts'
import { whoCalls } from '../caller.ts'
import { hold } from '../holder.ts'
import { printJson } from '../output.ts'
import { proxyEnvironment } from '../proxy-environment.ts'
import { cidrs } from './common.ts'
import { type ShadowFlags, shadowConfig, withShadowOptions } from './shadow-options.ts'

interface ProxyFlags extends ShadowFlags {
  port: number
  clusterOnly?: boolean
  include?: string[]
  exclude?: string[]
  clusterDomain?: string
  json?: boolean
}

export function addProxyCommand(program: Command): void {
  const command = program
    .command('proxy')
    .description('a SOCKS5 and HTTP proxy into the cluster on 127.0.0.1, with a PAC file; needs no root')
    .option('--port <port>', 'port of this machine; 0 is any free one', port, 1080)
    .option('--cluster-only', 'refuse names and addresses that are not in the cluster')
    .option('--include <cidr>', 'reach this range through the cluster, too (repeatable)', cidrs)
    .option('--exclude <cidr>', 'reach this range from this machine (repeatable)', cidrs)
    .option('--cluster-domain <domain>', "the cluster's DNS domain, where it is not cluster.local")
    .option('--json', 'print where it listens as one JSON object')
  withShadowOptions(command).action(async (options: ProxyFlags) => {
    const caller = whoCalls()
    const { port, clusterOnly = false, include = [], exclude = [], clusterDomain, json } = options
    const shadow = shadowConfig(options, caller)
    const config: ProxyConfig = {
      ...{ ...shadow, env: withoutOwnProxy(shadow.env, port) },
      ...{ kind: 'proxy', port, clusterOnly, include, exclude, clusterDomain },
    }
    await hold(config, caller, {
      ending: () => 'Ctrl-C ends it.',
      ready: ({ proxy }) => {
        if (!proxy) return
        if (json) printJson(proxy)
        else for (const line of pasteLines(proxy)) process.stdout.write(`${line}\n`)
      },
    })
  })
}

/** What a person needs to use it. */
function pasteLines({ address, pac }: ProxyStatus): string[] {
  const facts = systemFacts()
  return [
    `SOCKS5 and HTTP  ${address}`,
    `PAC file         ${pac}`,
    ...Object.entries(proxyEnvironment(address)).map(([name, value]) => exportLine(facts, name, value)),
  ]
}

/** Variables that a person has pasted for an earlier proxy on this port would lead kt's own way to the cluster into itself. */
export function withoutOwnProxy(env: Record<string, string>, port: number): Record<string, string> {
  const own = new RegExp(`^(\\w+://)?(127\\.0\\.0\\.1|localhost|\\[::1\\]):${port}/?$`, 'i')
  return Object.fromEntries(
    Object.entries(env).filter(([name, value]) => !(/^(https?|all)_proxy$/i.test(name) && own.test(value))),
  )
}

function port(text: string): number {
  const number = Number(text)
  if (!/^\d{1,5}$/.test(text) || number > 65_535) throw new InvalidArgumentError('expected a port, 0 to 65535.')
  return number
}
