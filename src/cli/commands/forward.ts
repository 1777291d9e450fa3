// `kt forward`: one local port to a Service, Deployment, StatefulSet or Pod, until Ctrl-C.
import { type Command, InvalidArgumentError } from 'commander'
import { whoCalls } from '../caller.ts'
import { hold } from '../holder.ts'
import { type ShadowFlags, shadowConfig, withShadowOptions } from './shadow-options.ts'

export function addForwardCommand(program: Command): void {
  const command = program
    .command('forward')
    .description('one port of this machine leads to a Service, Deployment, StatefulSet or Pod; needs no root')
    .argument('<target>', '[service/|deployment/|statefulset/|pod/]NAME')
    .argument('<ports>', 'LOCAL[:REMOTE]; LOCAL 0 is any free port, REMOTE a number or name', portPair)
  withShadowOptions(command).action(async (target: string, ports: PortPair, options: ShadowFlags) => {
    const caller = whoCalls()
    const config = { ...shadowConfig(options, caller), kind: 'forward' as const, target, ...ports }
    await hold(config, caller, { ending: 'Ctrl-C ends it.' })
  })
}

interface PortPair {
  local: number
  remote?: string
}

function portPair(text: string): PortPair {
  // RFC 6335 5.1: a service name has letters, digits and hyphens, at most 15 characters, one letter at least.
  const match = /^(\d{1,5})(?::(\d{1,5}|(?=.*[a-z])[a-z0-9-]{1,15}))?$/.exec(text)
  const numbers = match?.slice(1).filter((part) => /^\d+$/.test(part ?? '')) ?? []
  if (!match || numbers.some((part) => Number(part) > 65_535) || Number(match[2] ?? 1) === 0)
    throw new InvalidArgumentError('expected LOCAL or LOCAL:REMOTE, like 8080:80 or 5432.')
  return { local: Number(match[1]), ...(match[2] && { remote: match[2] }) }
}
