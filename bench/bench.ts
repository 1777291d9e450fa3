// `./dev bench [cluster|proxy|memory|stack|dns|tunnel|shell|forwards|ways] [OPTION...]`: which benchmark; the cluster's by default.
import { existsSync } from 'node:fs'

const [name] = process.argv.slice(2)
const named = name !== undefined && !name.startsWith('-')
const file = new URL(`./${named ? name : 'cluster'}.ts`, import.meta.url)
if (!existsSync(file)) {
  console.error(
    `bench: there is no ${name}; there are cluster, proxy, memory, stack, dns, tunnel, shell, forwards, ways`,
  )
  process.exit(2)
}
if (named) process.argv.splice(2, 1)
await import(file.href)
