// Finds exports of src/ that nobody imports: `node scripts/unused-exports.ts`. (knip would, but needs the JavaScript API
// that TypeScript 7 does not have yet.) Files are parsed by swc. What its own file uses as well is not dead and
// passes: types in the signatures of what is exported above all.
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { type ModuleItem, parseSync } from '@swc/core'

const files = globSync('{src,test,bench,scripts,native}/**/*.{ts,tsx}')
// Programs, run and not imported.
const programs = new Set([
  'src/cli/main.ts',
  'src/index.ts',
  'src/dashboard/main.ts',
  'src/dashboard/page/main.tsx',
  'src/daemon/helper.ts',
  'src/daemon/engine.ts',
  'src/daemon/holder.ts',
  'src/daemon/list.ts',
  'src/daemon/check.ts',
  'src/daemon/probe.ts',
  'src/cluster/worker.ts',
  'src/shadow/agent.ts',
])

interface Module {
  exports: Map<string, number>
  text: string
}
const modules = new Map<string, Module>()
const used = new Set<string>()
const importedModules = new Set<string>()
// Imported as a namespace or at run time: all of it is used.
const wholes = new Set<string>()

for (const file of files) {
  const text = readFileSync(file, 'utf8')
  const { body } = parseSync(text, { syntax: 'typescript', tsx: file.endsWith('.tsx'), target: 'es2022' })
  const exports = new Map<string, number>()
  modules.set(file, { exports, text })
  for (const item of body) collect(file, item, exports)
  for (const match of text.matchAll(/import\(\s*'(\.[^']+)'\s*\)/g)) useAll(resolve(file, match[1]))
}

const unused = [...modules]
  .filter(([file]) => file.startsWith('src/') && !programs.has(file))
  .flatMap(([file, { exports, text }]) =>
    [...exports.keys()]
      .filter(
        (name) =>
          !wholes.has(file) && !used.has(`${file}#${name}`) && text.split(new RegExp(`\\b${name}\\b`)).length <= 2,
      )
      .map((name) => `${file}: ${name}`),
  )
const orphans = [...modules.keys()].filter(
  (file) => file.startsWith('src/') && !programs.has(file) && !importedModules.has(file) && !file.endsWith('.d.ts'),
)

for (const line of unused) console.error(`unused export: ${line}`)
for (const file of orphans) console.error(`never imported: ${file}`)
if (unused.length + orphans.length > 0) process.exit(1)

function resolve(from: string, to: string): string {
  return normalize(join(dirname(from), to))
}

function use(file: string, name: string): void {
  used.add(`${file}#${name}`)
  importedModules.add(file)
}

function useAll(file: string): void {
  importedModules.add(file)
  for (const name of modules.get(file)?.exports.keys() ?? []) use(file, name)
  wholes.add(file)
}

function collect(file: string, item: ModuleItem, exports: Map<string, number>): void {
  switch (item.type) {
    case 'ImportDeclaration': {
      if (!item.source.value.startsWith('.')) return
      const target = resolve(file, item.source.value)
      importedModules.add(target)
      for (const s of item.specifiers) {
        if (s.type === 'ImportSpecifier') use(target, s.imported?.value ?? s.local.value)
        else if (s.type === 'ImportDefaultSpecifier') use(target, 'default')
        else useAll(target)
      }
      return
    }
    case 'ExportNamedDeclaration':
      for (const s of item.specifiers) {
        if (s.type !== 'ExportSpecifier') continue
        exports.set((s.exported ?? s.orig).value, 0)
        if (item.source) use(resolve(file, item.source.value), s.orig.value)
      }
      return
    case 'ExportDeclaration': {
      const d = item.declaration
      if (d.type === 'VariableDeclaration') {
        for (const v of d.declarations) if (v.id.type === 'Identifier') exports.set(v.id.value, 0)
      } else if ('identifier' in d) exports.set(d.identifier.value, 0)
      else if ('id' in d && d.id.type === 'Identifier') exports.set(d.id.value, 0)
      return
    }
    case 'ExportAllDeclaration':
      useAll(resolve(file, item.source.value))
      return
  }
}
