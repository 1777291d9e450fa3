// `kt dns trace` for people: the way of one question from the rule to the answer, a line a step.
import { visible } from '../base/visible.ts'
import type { DnsTrace } from '../control/views.ts'
import { bold, dim } from './output.ts'

const WIDTH = 9

/** The steps in order, without line ends. */
export function traceLines(trace: DnsTrace, out: NodeJS.WriteStream = process.stdout): string[] {
  const lines = [bold(out, `${trace.name} ${trace.type}`)]
  const step = (name: string, text: string) => lines.push(`  ${dim(out, name.padEnd(WIDTH))} ${text}`)
  if (trace.resolved) step('programs', trace.resolved)
  step('cache', cacheText(trace.cache))
  // Probes were asked between the first plan and the second.
  const [first, ...later] = trace.decisions
  const tell = (tries: DnsTrace['tries']) => {
    for (const { upstream, name, rcode, ms, probe } of tries)
      step(probe ? 'learned' : 'asked', `${upstream} for ${name}: ${rcode}, ${ms} ms`)
  }
  if (first) planned(first, step)
  tell(trace.tries.filter(({ probe }) => probe))
  for (const plan of later) planned(plan, step)
  tell(trace.tries.filter(({ probe }) => !probe))
  step(
    'answer',
    `${trace.rcode} after ${trace.ms} ms${trace.rcode === 'NOERROR' && trace.records.length === 0 ? ', without a record of this type' : ''}`,
  )
  for (const { name, type, ttl, data } of trace.records) step('', visible(`${name} ${ttl} ${type} ${data}`))
  return lines
}

function planned(
  { rule, cluster, local, unknown }: DnsTrace['decisions'][number],
  step: (name: string, text: string) => void,
): void {
  step('rule', rule)
  if (unknown.length > 0) {
    step('', `to be learned first: ${unknown.join(', ')}`)
    return
  }
  cluster.forEach((name, i) => {
    step('', i === 0 ? `the cluster is asked for ${name}` : `and, if it has no such name, for ${name}`)
  })
  if (local === 'only') step('', "this machine's own resolver is asked")
  if (local === 'after') step('', "this machine's own resolver is asked if the cluster says NXDOMAIN")
  if (local === 'never' && cluster.length === 0) step('', 'kt answers itself, nobody is asked')
}

function cacheText({ state, rcode, ageS, leftS }: DnsTrace['cache']): string {
  if (state === 'none') return 'has nothing; a program would wait for what follows'
  const what = `${rcode}, ${ageS} s old`
  return state === 'fresh'
    ? `programs get ${what}, for ${leftS} s more; asked anew here`
    : `has a stale answer (${what}), given only if nobody answers`
}
