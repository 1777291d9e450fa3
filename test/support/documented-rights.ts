// The rules of the Roles in docs/operate/rights.md: what the page says is what is tested.
import { readFileSync } from 'node:fs'

export interface Rule {
  apiGroups: string[]
  resources: string[]
  verbs: string[]
}

/** By the Role's name: `kt`, `kt-exchange`, `kt-place`. */
export function documentedRoles(): Record<string, Rule[]> {
  const page = readFileSync(new URL('../../docs/operate/rights.md', import.meta.url), 'utf8')
  const roles = [...page.matchAll(/```yaml\n(.*?)```/gs)].filter(([, text]) => /^kind: Role$/m.test(text))
  return Object.fromEntries(roles.map(([, text]) => [/^ {2}name: (.*)$/m.exec(text)![1], rulesOf(text)]))
}

function rulesOf(text: string): Rule[] {
  const rules = [...text.matchAll(/apiGroups: \[(.*)\]\n\s+resources: \[(.*)\]\n\s+verbs: \[(.*)\]/g)]
  return rules.map((match) => {
    const [apiGroups, resources, verbs] = match.slice(1).map((list) => list.replace(/["\s]/g, '').split(','))
    return { apiGroups, resources, verbs }
  })
}
