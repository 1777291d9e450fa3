// The words of all errors made for people, read as a set: found in the sources, wherever one is made with its words. One
// voice: what happened in one line that begins small and ends without a full stop; what to do in another; commands in
// backquotes; no questions.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseSync } from '@swc/core'

// Which argument is the message, which the hint.
const made: Record<string, [message: number, hint: number]> = {
  ToldError: [1, 2],
  ClusterError: [1, 2],
  clusterError: [1, 2],
  TunnelError: [1, 2],
  HostError: [1, 2],
  HelperError: [1, 2],
  CliError: [0, 1],
}
// Names of things keep their capitals.
const proper =
  /^(API|IPv6|KUBECONFIG|KT_|Job|Service|Deployment|StatefulSet|Secret|Pod|Lease|UDP|TCP|SSH|DNS|SPDY|TYPE|XDG|A, AAAA|Services|Kubernetes|HTTP|CNAME|Node)/

interface Found {
  where: string
  message: string | undefined
  hint: string | undefined
}

interface Syntax {
  type: string
  [key: string]: unknown
}

/** The text of a literal; what is put in becomes `…`. Undefined for other expressions. */
function textOf(node: Syntax | undefined): string | undefined {
  if (node?.type === 'StringLiteral') return node['value'] as string
  if (node?.type === 'TemplateLiteral')
    return (node['quasis'] as { cooked: string }[]).map(({ cooked }) => cooked).join('…')
  return undefined
}

function find(file: string): Found[] {
  const found: Found[] = []
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) for (const each of node) visit(each)
    if (typeof node !== 'object' || node === null || Array.isArray(node)) return
    const one = node as Syntax
    if (one.type === 'NewExpression' || one.type === 'CallExpression') {
      const at = made[(one['callee'] as { value?: string }).value ?? '']
      const args = ((one['arguments'] as { expression: Syntax }[] | null) ?? []).map(({ expression }) => expression)
      // Where words depend on something, each of the two is read.
      const texts = (arg: Syntax | undefined): (string | undefined)[] =>
        arg?.type === 'ConditionalExpression'
          ? [...texts(arg['consequent'] as Syntax), ...texts(arg['alternate'] as Syntax)]
          : [textOf(arg)]
      if (at)
        for (const message of texts(args[at[0]]))
          for (const hint of texts(args[at[1]])) found.push({ where: `${file}: ${message}`, message, hint })
    }
    // The usual hints, by code.
    if (one.type === 'VariableDeclarator' && (one['id'] as { value?: string }).value === 'hints')
      for (const { value } of (one['init'] as unknown as { properties: { value: Syntax }[] }).properties)
        found.push({ where: file, message: undefined, hint: textOf(value) })
    for (const value of Object.values(one)) visit(value)
  }
  visit(parseSync(readFileSync(file, 'utf8'), { syntax: 'typescript', target: 'es2022' }).body)
  return found
}

const all = globSync('src/**/*.ts', { exclude: ['src/shadow/**'] }).flatMap(find)

test('they are found', () => {
  assert.ok(all.length > 100, String(all.length))
})

/** Fails with every place that breaks the rule, not with the first. */
function none(texts: (found: Found) => (string | undefined)[], breaks: (text: string) => boolean): void {
  const broken = all.flatMap((one) =>
    texts(one).flatMap((text) => (text !== undefined && breaks(text) ? [`${one.where} | ${text}`] : [])),
  )
  assert.deepEqual([...new Set(broken)], [])
}
const message = (one: Found) => [one.message]
const hint = (one: Found) => [one.hint]
const both = (one: Found) => [one.message, one.hint]

test('they begin small, end without a full stop, and ask nothing', () =>
  none(both, (text) => /[.!?]$|\?|\n/.test(text) || (/^[A-Z]/.test(text) && !proper.test(text))))

test('a hint is never empty', () => none(hint, (text) => text.trim() === ''))

test('commands are in backquotes', () => {
  const commands = 'up|down|status|logs|check|exchange|mesh|run|forward|recover|clean|leave|flows|config|dns'
  const bare = new RegExp(`\\b(kt (${commands})|kubectl [a-z])\\b`)
  none(both, (text) => bare.test(text.replace(/`[^`]*`/g, '')))
})

test('our own mistakes are owned up to in the same words', () =>
  none(hint, (text) => /report/.test(text) && !/please report it|and report what it says/.test(text)))

test('no message holds a stack', () => none(message, (text) => /stack/.test(text)))
