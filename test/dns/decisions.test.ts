// The decision table of decisions.txt, row by row.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { resolvedRoute, routingDomains, searchDomains } from '../../src/dns/domains.ts'
import { decide, type LabelKind, type Plan } from '../../src/dns/names.ts'
import { typeCode } from '../../src/dns/records.ts'
import { parsePrefix } from '../../src/wire/prefix.ts'

const reverseRanges = ['10.96.0.0/16', '10.244.0.0/16', 'fd00:10:96::/112']
const names = {
  clusterDomain: 'cluster.local',
  namespace: 'shop',
  namespaces: ['shop'],
  reverseRanges,
  localSearch: ['corp.example'],
}
const ranges = reverseRanges.map(parsePrefix)

function asked(name: string, plan: Plan): string {
  if (plan.own) return `kt: ${plan.own}`
  if (plan.unknown) return plan.unknown.map(({ kind, label }) => `learn ${kind} ${label}`).join(', ')
  const steps = plan.cluster.map((suffix) => `cluster ${suffix === '' ? name : `${name}.${suffix}`}`)
  if (plan.local !== 'never') steps.push(`local ${name === '' ? '.' : name}`)
  return steps.join(', ')
}

/** What the row's last column must say. */
export function evaluate(mode: string, written: string, type: string, known: string): string {
  const appended = mode === 's' ? searchDomains(names)[0] : undefined
  const name = written === '.' ? '' : written
  const facts = new Map<string, boolean>([['namespace shop', true]])
  for (const [label, value] of known === '-' ? [] : known.split(' ').map((fact) => fact.split('='))) {
    if (!facts.has(`namespace ${label}`)) facts.set(`namespace ${label}`, value.includes('ns'))
    facts.set(`service ${label}`, value.includes('svc'))
  }
  const has = (kind: LabelKind, label: string) => facts.get(`${kind} ${label}`)
  if (mode === 's') {
    const namespaces = [...facts].filter(([k, v]) => v && k.startsWith('namespace ')).map(([k]) => k.slice(10))
    const route = resolvedRoute(name, routingDomains(names, namespaces, ranges).domains)
    if (route === 'elsewhere') return 'not brought here'
    if (route === 'kt, completed') return evaluate('s', `${name}.${searchDomains(names)[0]}`, type, known)
  }
  return asked(name, decide(name, typeCode(type)!, { names, ranges, hostname: 'laptop', appended, has }))
}

test('each row of the decision table', () => {
  const rows = readFileSync(new URL('decisions.txt', import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  assert.ok(rows.length > 80)
  for (const row of rows) {
    const [mode, name, type, known, expected] = row.split('|').map((cell) => cell.trim())
    assert.equal(evaluate(mode, name, type, known), expected, row)
  }
})
