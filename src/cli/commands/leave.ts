// `kt leave`: ends one exchange, mesh or run of this user on this machine, wherever it is held.
import { type Command, InvalidArgumentError } from 'commander'
import { askHolders, type LiveHolder } from '../../control/holders.ts'
import { whoCalls } from '../caller.ts'
import { word } from '../follow-up.ts'
import { CliError, printProgress } from '../output.ts'
import { type ClusterOptions, withClusterOptions } from './common.ts'

export function addLeaveCommand(program: Command): void {
  withClusterOptions(
    program
      .command('leave')
      .description('end an exchange, mesh or run of yours on this machine, and put everything back')
      .argument('<target>', 'as `kt status` lists it', (text) => {
        if (text === '') throw new InvalidArgumentError('expected a name.')
        return text
      }),
  )
    .option('--version-mark <value>', 'which mesh to leave, when you hold several of one Service')
    .action(async (target: string, options: ClusterOptions & { versionMark?: string }) => {
      const { holders, silent } = await askHolders(whoCalls().uid, process.env)
      try {
        if (silent.length > 0 && !holders.some(({ held }) => held.target === target.split('/').at(-1)))
          throw new CliError(
            `${silent.map((pid) => `process ${pid}`).join(' and ')}, which holds something, does not answer`,
            `\`kill -KILL ${silent.join(' ')}\` ends it; then \`kt recover ${target}${options.namespace ? ` -n ${options.namespace}` : ''}\` puts back what it held`,
          )
        const { held, client } = chooseHolder(holders, target, options.namespace, options.versionMark)
        const { notes } = await client.request('leave', {}, printProgress)
        if (notes.length > 0)
          throw new CliError(notes.join('; '), `\`kt recover ${held.target} -n ${held.namespace}\` tries again`)
        process.stderr.write(`${held.target} is as before\n`)
      } finally {
        for (const { client } of holders) client.close()
      }
    })
}

/** Throws CliError unless it is one. */
export function chooseHolder(
  holders: LiveHolder[],
  target: string,
  namespace: string | undefined,
  version: string | undefined,
): LiveHolder {
  const name = target.split('/').at(-1)
  const found = holders.filter(
    ({ held }) =>
      held.target === name && (!namespace || held.namespace === namespace) && isVersion(held.version, version),
  )
  if (found.length === 1) return found[0]
  if (found.length > 1) {
    const list = found
      .map(({ held }) => `${held.kind} ${held.version ? `"${held.version}" ` : ''}in ${held.namespace}`)
      .join(', ')
    throw new CliError(
      `${name} is held more than once: ${list}`,
      `name one: ${found.map(({ held }) => `\`${leaveCommand(held)}\``).join(' or ')}`,
    )
  }
  const others = holders.map(({ held }) => held.target).join(', ')
  throw new CliError(
    `nothing of yours on this machine holds ${name}`,
    others ? `held are: ${others}` : `\`kt recover ${name}\` puts back what another machine or a killed kt left`,
  )
}

/** What ends this one and no other. */
function leaveCommand({ target, namespace, version }: LiveHolder['held']): string {
  const mark = version === null ? '' : ` --version-mark ${word(version.replace(': ', ':'))}`
  return `kt leave ${target} -n ${namespace}${mark}`
}

/** `abc` or `kt-version:abc` for `kt-version: abc`. */
function isVersion(held: string | null, wanted: string | undefined): boolean {
  return wanted === undefined || held === wanted || held?.replace(/^[^:]*: /, '') === wanted.replace(/^[^:]*:\s*/, '')
}
