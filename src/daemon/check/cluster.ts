// From facts about the cluster to lines: what was found, whether that will do, what to do. Pure.

import type { Ranges, ShadowKind } from '../../cluster/calls.ts'
import type { NamespaceFacts, ServerFacts, Trial, Trials } from '../../cluster/inspect.ts'
import { DEFAULT_RESOURCES } from '../../cluster/shadow-manifest.ts'
import type { CheckLine, CheckState } from '../../control/check.ts'

const line = (name: string, state: CheckState, result: string, advice = ''): CheckLine => ({
  group: 'cluster',
  ...{ name, state, result, advice },
})

/** For any error made for people. */
export function failedLine(group: CheckLine['group'], name: string, error: unknown): CheckLine {
  const { message, hint } = error as { message?: string; hint?: string }
  return {
    ...{ group, name, state: 'failed' },
    result: message ?? String(error),
    advice: hint ?? 'this is unexpected; please report it',
  }
}

// A new TCP connection through kt takes one of these.
const SLOW_MS = 300
// Jobs can be suspended from 1.24 on without a feature gate (batch/v1 JobSpec.suspend).
const OLDEST_MINOR = 24
// On which the tests of the cluster have run: docs/understand/reliability.md.
const TRIED_MINORS = [30, 34, 37]
// Certificates and tokens begin to be valid when they are issued, and some are used at once.
const SKEW_MS = 30_000

export function judgeServer({ version, minor, roundTripMs, skewMs }: ServerFacts): CheckLine[] {
  const ms = `${roundTripMs < 10 ? roundTripMs.toFixed(1) : roundTripMs.toFixed(0)} ms`
  const lines = [
    roundTripMs > SLOW_MS
      ? line(
          'API server',
          'warning',
          `${version}, ${ms} a round trip`,
          'it works, and each new connection takes as long',
        )
      : line('API server', 'ok', `${version}, ${ms} a round trip`),
  ]
  // A server that is none of Kubernetes' own may tell no number.
  if (!Number.isNaN(minor)) lines.push(judgeVersion(version, minor))
  if (Number.isNaN(skewMs)) return lines
  const skew = `${(Math.abs(skewMs) / 1000).toFixed(0)} s ${skewMs > 0 ? 'behind' : 'ahead of'} the API server's`
  lines.push(
    Math.abs(skewMs) > SKEW_MS
      ? line(
          'clock',
          'warning',
          `this machine's clock is ${skew}`,
          'set it (NTP): certificates and tokens may be refused',
        )
      : line('clock', 'ok', "as the API server's"),
  )
  return lines
}

function judgeVersion(version: string, minor: number): CheckLine {
  const name = 'version'
  if (minor < OLDEST_MINOR)
    return line(
      name,
      'failed',
      `Kubernetes ${version} is older than 1.${OLDEST_MINOR}`,
      'kt needs Jobs that can be suspended',
    )
  const [oldest, newest] = [Math.min(...TRIED_MINORS), Math.max(...TRIED_MINORS)]
  if (minor < oldest || minor > newest)
    return line(
      name,
      'warning',
      `1.${minor} is ${minor < oldest ? 'older' : 'newer'} than what kt was tried with (1.${oldest} to 1.${newest})`,
      'it will probably work; `kt check --shadow` tries a shadow and the way to it',
    )
  const tried = TRIED_MINORS.map((one) => `1.${one}`)
  return line(name, 'ok', `kt was tried with ${tried.slice(0, -1).join(', ')} and ${tried.at(-1)}`)
}

export function judgeNamespace(name: string, { exists, terminating }: NamespaceFacts, { job }: Trials): CheckLine {
  const gone = exists === false || (typeof job === 'object' && job.code === 'namespace-missing')
  if (gone)
    return line(
      'namespace',
      'failed',
      `there is no namespace ${JSON.stringify(name)}`,
      'use --namespace with one that is there',
    )
  // Who may not read the namespace learns it from the refusal of the Job.
  const ending = typeof job === 'object' && /because it is being terminated/.test(job.message)
  if (terminating || ending)
    return line(
      'namespace',
      'failed',
      `${name} is being deleted: nothing can be made in it any more`,
      'use --namespace with another one, or wait until it is gone and make it again',
    )
  return line('namespace', 'ok', exists ? name : `${name} (it may not be read, which is no harm)`)
}

const isSecurity = ({ message }: { message: string }) => /PodSecurity|pod security/i.test(message)
const isQuota = ({ message }: { message: string }) => /quota/i.test(message)
const refusals = (trials: Trials) =>
  Object.entries(trials).flatMap(([what, trial]: [string, Trial]) =>
    typeof trial === 'object' ? [{ what, ...trial }] : [],
  )

export function judgePodSecurity(kind: ShadowKind, { podSecurity }: NamespaceFacts, trials: Trials): CheckLine {
  const name = 'Pod Security'
  const refused = refusals(trials).find(isSecurity)
  const sshd = 'use --shadow agent, whose pod fits every level, or another namespace'
  if (refused) return line(name, 'failed', refused.message, kind === 'sshd' ? sshd : refused.hint)
  const level = podSecurity
    ? `the namespace enforces ${JSON.stringify(podSecurity)}`
    : 'no level is enforced that can be seen'
  // Its image starts as root, which "restricted" refuses; asked only where the dry run could not tell.
  if (kind === 'sshd' && podSecurity === 'restricted' && trials.pod === 'unknown')
    return line(name, 'failed', `${level}; a pod of --shadow sshd runs as root`, sshd)
  return line(
    name,
    'ok',
    trials.pod === 'accepted' ? `${level}; the shadow's pod is admitted` : `${level}; kt's pod fits "restricted"`,
  )
}

export function judgeQuota({ quotas }: NamespaceFacts, trials: Trials, requests: Record<string, string>): CheckLine {
  const refused = refusals(trials).find(isQuota)
  const advice = '--pod-resources asks for less; else ask for a larger quota, or use another namespace'
  if (refused) return line('quota', 'failed', refused.message, advice)
  if (trials.pod === 'accepted') return line('quota', 'ok', quotas?.length ? 'a shadow fits' : 'none, or a shadow fits')
  if (!quotas) return line('quota', 'ok', 'cannot be read; a quota that is full is told when the shadow is made')
  const full = quotas.flatMap(({ name, hard, used }) =>
    Object.entries({ ...needs(requests) }).flatMap(([key, want]) =>
      key in hard && quantity(used[key] ?? '0') + want > quantity(hard[key])
        ? [`${key} of ${name}: ${used[key] ?? '0'} of ${hard[key]} are used`]
        : [],
    ),
  )
  if (full.length > 0) return line('quota', 'failed', `a shadow does not fit: ${full.join('; ')}`, advice)
  return line('quota', 'ok', quotas.length > 0 ? 'a shadow fits' : 'none')
}

function needs(asked: Record<string, string>): Record<string, number> {
  const counts = { pods: 1, secrets: 1, 'count/pods': 1, 'count/secrets': 1, 'count/jobs.batch': 1 }
  const given = Object.keys(asked).length > 0
  const { requests, limits } = given ? { requests: asked, limits: asked } : DEFAULT_RESOURCES
  const named = (prefix: string, resources: Record<string, string>) =>
    Object.entries(resources).map(([name, text]) => [`${prefix}${name}`, quantity(text)])
  return {
    ...counts,
    ...Object.fromEntries([...named('', requests), ...named('requests.', requests), ...named('limits.', limits)]),
  }
}

const suffixes: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
}
const binary = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']

/** A quantity of the Kubernetes API (k8s.io/apimachinery/pkg/api/resource) as a number; NaN for what is none. */
function quantity(text: string): number {
  const [, number, suffix = ''] = /^([0-9.]+(?:e[+-]?\d+)?)([A-Za-z]*)$/.exec(text) ?? []
  const factor = binary.includes(suffix) ? 1024 ** (binary.indexOf(suffix) + 1) : suffixes[suffix]
  return Number(number) * (factor ?? Number.NaN)
}

export function judgeAdmission(trials: Trials): CheckLine {
  const refused = refusals(trials).find((one) => !isSecurity(one) && !isQuota(one) && one.code !== 'namespace-missing')
  if (refused)
    return line('admission', 'failed', `the ${refused.what} of a shadow is refused: ${refused.message}`, refused.hint)
  const tried = Object.entries(trials).flatMap(([what, trial]) => (trial === 'accepted' ? [what] : []))
  return line(
    'admission',
    'ok',
    tried.length > 0
      ? `a dry run of the shadow's ${tried.join(', ')} is accepted`
      : 'could not be tried: the rights to create are missing',
  )
}

export function judgeRanges(ranges: Ranges | undefined): CheckLine[] {
  if (!ranges) return [line('ranges', 'warning', 'could not be looked up', 'name them with --include CIDR')]
  return (['services', 'pods'] as const).map((kind) => {
    const found = ranges.ranges.filter((range) => range.kind === kind)
    const note = ranges.notes.find((one) => one.includes(kind)) ?? ''
    const name = `${kind}' range`
    if (found.length === 0 && kind === 'pods')
      return line(
        name,
        'warning',
        `no pod can be seen: \`kt up\` guesses it around the shadow's own address`,
        advised(note),
      )
    if (found.length === 0)
      return line(name, 'warning', note.split('; ')[0] || 'not known', 'name it with --include CIDR')
    const text = found.map(({ cidr }) => cidr).join(', ')
    const sources = [...new Set(found.map(({ source }) => source))].join('; ')
    return found.some(({ guessed }) => guessed)
      ? line(name, 'warning', `${text}, guessed (${sources})`, advised(note))
      : line(name, 'ok', `${text} (${sources})`)
  })
}

// The note ends with what would make it exact.
function advised(note: string): string {
  const [, exactly] = /(?:to have it exact: |use --include CIDR, or )(.+)$/.exec(note) ?? []
  return exactly ?? 'correct it with --include and --exclude'
}
