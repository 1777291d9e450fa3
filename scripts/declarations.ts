// The declarations of the library (dist/index.d.ts), and the page that is made of them: `node scripts/declarations.ts` writes
// docs/reference/api.md. Both are made of src/library/api.ts, which imports nothing of kt.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const WIDTH = 120

/** The text of index.d.ts. */
export function declarations(): string {
  const out = mkdtempSync(join(tmpdir(), 'kt-types-'))
  const flags =
    '--ignoreConfig --declaration --emitDeclarationOnly --target es2024 --lib es2024,esnext.disposable --module nodenext --types node --strict --skipLibCheck --verbatimModuleSyntax'
  try {
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const from = join(root, 'src/library/api.ts')
    execFileSync(process.execPath, [tsc, from, '--outDir', out, ...flags.split(' ')], {
      stdio: ['ignore', 'inherit', 2],
    })
    const api = readFileSync(join(out, 'api.d.ts'), 'utf8').replaceAll('    ', '  ')
    return `${api}/** The way in. */\nexport declare const connect: Connect;\n`
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
}

/** docs/reference/api.md. */
export function apiPage(types: string): string {
  const parts = types.split(/^(?=\/\*\*)/m).filter((part) => /^export /m.test(part))
  const sections = parts.map((part) => {
    const [, comment, code] = /^\/\*\*([\s\S]*?)\*\/\n([\s\S]*)$/.exec(part)!
    const name = /^export (?:declare )?(?:interface|class|type|const) (\w+)/m.exec(code)![1]
    const words = comment
      .replace(/^\s*\* ?/gm, '')
      .trim()
      .replace(/\s+/g, ' ')
    return `## ${name}\n\n${wrapped(words)}\n\n\`\`\`ts\n${code.trim()}\n\`\`\`\n`
  })
  const head = `# The library's interface\n\n${wrapped('This page is made of `src/library/api.ts` by `node scripts/declarations.ts`. [The library](../use/library.md) shows how to use it.')}\n`
  return [head, ...sections].join('\n')
}

function wrapped(words: string): string {
  const lines: string[] = []
  for (const word of words.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= WIDTH) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines.join('\n')
}

if (import.meta.main) writeFileSync(join(root, 'docs/reference/api.md'), apiPage(declarations()))
