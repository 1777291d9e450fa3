// `kt forward`: local ports to a Service, Deployment, StatefulSet or Pod, until Ctrl-C.
import { type Command, InvalidArgumentError } from 'commander'
import type { ForwardPort } from '../../control/holder.ts'
import { whoCalls } from '../caller.ts'
import { hold } from '../holder.ts'
import { portNumber } from './expose.ts'
import { type ShadowFlags, shadowConfig, withShadowOptions } from './shadow-options.ts'

export function addForwardCommand(program: Command): void {
  const command = program
    .command('forward')
    .description('ports of this machine lead to a Service, Deployment, StatefulSet or Pod; needs no root')
    .argument('<target>', '[service/|deployment/|statefulset/|pod/]NAME')
    .argument('<ports...>', 'LOCAL[:REMOTE]; LOCAL 0 is any free port, REMOTE a number or name', portPairs)
  withShadowOptions(command).action(async (target: string, ports: ForwardPort[], options: ShadowFlags) => {
    const caller = whoCalls()
    const config = { ...shadowConfig(options, caller), kind: 'forward' as const, target, ports }
    await hold(config, caller, { ending: () => 'Ctrl-C ends it.' })
  })
}

/** One more of several arguments; commas within one are allowed, as in `--expose`. */
function portPairs(text: string, before: ForwardPort[] = []): ForwardPort[] {
  const ports = [...before]
  for (const part of text.split(',')) {
    const pair = portPair(part.trim())
    if (pair.local > 0 && ports.some(({ local }) => local === pair.local))
      throw new InvalidArgumentError(`port ${pair.local} of this machine is named twice.`)
    ports.push(pair)
  }
  return ports
}

function portPair(text: string): ForwardPort {
  // RFC 6335 5.1: a service name has letters, digits and hyphens, at most 15 characters, one letter at least.
  const match = /^(\d+)(?::(\d+|(?=.*[a-z])[a-z0-9-]{1,15}))?$/.exec(text)
  if (!match) throw new InvalidArgumentError('expected LOCAL or LOCAL:REMOTE, like 8080:80 or 5432.')
  const [, local, remote] = match
  if (remote !== undefined && /^\d+$/.test(remote)) portNumber(remote, text)
  return { local: Number(local) === 0 ? 0 : portNumber(local, text), ...(remote && { remote }) }
}
