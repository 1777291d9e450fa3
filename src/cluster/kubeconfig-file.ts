// Finds the kubeconfig files, reads and merges them as kubectl does. What an entry holds is not looked at here: only the
// entries in use have to be good (see kubeconfig.ts).
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { CORE_SCHEMA, loadAll, mergeTag } from 'js-yaml'
import { ClusterError, type ClusterSelection } from './calls.ts'
import { FileError, readNamedFile } from './named-file.ts'
import { podsKubeconfig } from './service-account.ts'

export type Environment = Record<string, string | undefined>

/** One entry of a list of the kubeconfig: `{ name, cluster: {...} }` and the like. */
export interface RawEntry {
  name: string
  body: Record<string, unknown>
  /** File it is from: paths in it are relative to that file. */
  file: string
}

/** All files together. Where a name comes twice, the first one counts. */
export interface RawKubeconfig {
  files: string[]
  currentContext: string
  contexts: RawEntry[]
  clusters: RawEntry[]
  users: RawEntry[]
}

const MOST_BYTES = 16 << 20
const SCHEMA = CORE_SCHEMA.withTags(mergeTag)

/** Throws ClusterError kubeconfig-missing or kubeconfig-invalid. */
export function readKubeconfig(selection: ClusterSelection, env: Environment): RawKubeconfig {
  const inPod = isNamed(selection, env) ? undefined : podsKubeconfig(env)
  if (inPod) return inPod
  const files = kubeconfigFiles(selection, env)
  const all: RawKubeconfig = { files, currentContext: '', contexts: [], clusters: [], users: [] }
  let empty = 0
  for (const file of files) {
    const content = readYaml(file)
    if (content === undefined) {
      empty++
      continue
    }
    all.currentContext ||= textOf(content['current-context'])
    // "The first file to set a particular value or map key wins": kubernetes.io, Organizing Cluster Access.
    for (const [list, key] of lists) {
      const have = new Set(all[list].map(({ name }) => name))
      for (const entry of entriesOf(content[list], key, file)) {
        if (have.has(entry.name)) continue
        have.add(entry.name)
        all[list].push(entry)
      }
    }
  }
  if (empty === files.length)
    throw new ClusterError(
      'kubeconfig-missing',
      `${files.join(', ')} ${files.length > 1 ? 'are' : 'is'} empty`,
      missingHint(env),
    )
  return all
}

const lists = [
  ['contexts', 'context'],
  ['clusters', 'cluster'],
  ['users', 'user'],
] as const

function kubeconfigFiles(selection: ClusterSelection, env: Environment): string[] {
  const missing = (message: string) => new ClusterError('kubeconfig-missing', message, missingHint(env))
  if (selection.kubeconfig) {
    if (existsSync(selection.kubeconfig)) return [selection.kubeconfig]
    throw missing(`there is no kubeconfig ${selection.kubeconfig}`)
  }
  // kubectl passes over files that are not there, as long as one is.
  const named = (env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '')
  if (named.length > 0) {
    const found = [...new Set(named.filter((file) => existsSync(file)))]
    if (found.length > 0) return found
    throw missing(`KUBECONFIG names no file that is there: ${named.join(', ')}`)
  }
  const file = usersFile(env)
  if (existsSync(file)) return [file]
  throw missing(`there is no kubeconfig: KUBECONFIG is not set and no ${file}`)
}

const usersFile = (env: Environment) => join(env['HOME'] ?? '', '.kube', 'config')

/** Whether there is a kubeconfig, or somebody says where one is. */
const isNamed = (selection: ClusterSelection, env: Environment) =>
  Boolean(selection.kubeconfig || env['KUBECONFIG'] || existsSync(usersFile(env)))

function missingHint(env: Environment): string {
  return env['SUDO_USER'] !== undefined
    ? 'use --kubeconfig FILE; sudo drops KUBECONFIG, `kt up` without sudo keeps it and asks for root itself'
    : 'use --kubeconfig FILE, or set KUBECONFIG'
}

/** Undefined for an empty file. Throws ClusterError that names the file and, where there is one, the line. */
function readYaml(file: string): Record<string, unknown> | undefined {
  const invalid = (what: string, hint = 'mend it; `kubectl config view` reads the same file') =>
    new ClusterError('kubeconfig-invalid', `${file} ${what}`, hint)
  let text: string
  try {
    text = readNamedFile(file, MOST_BYTES)
  } catch (error) {
    if (!(error instanceof FileError)) throw error
    throw invalid(error.message, 'use --kubeconfig FILE with a file that you may read')
  }
  if (text.includes('\0')) throw invalid('is no text file')
  let content: unknown
  try {
    // Aliases are references, so a bomb of them stays small as long as nobody walks through it; merge keys have a limit.
    // `json`: of a repeated key the last one counts, as for kubectl. Of several documents it reads the first one only.
    content = loadAll(text, { schema: SCHEMA, json: true })[0]
  } catch (error) {
    const { mark, reason, message } = error as { mark?: { line: number }; reason?: string; message: string }
    if (mark) throw new ClusterError('kubeconfig-invalid', `${file}:${mark.line + 1}: ${reason}`, 'mend this line')
    throw invalid(`is no YAML: ${message.split('\n')[0]}`)
  }
  if (content === undefined || content === null) return undefined
  if (!isObject(content)) throw invalid('is no kubeconfig: it holds no keys')
  return content
}

/** Entries that are none (no object, no name that is a text) are passed over. */
function entriesOf(list: unknown, key: string, file: string): RawEntry[] {
  if (!Array.isArray(list)) return []
  return list.filter(isObject).map((entry) => {
    const body = entry[key]
    return { name: textOf(entry['name']), body: isObject(body) ? body : {}, file }
  })
}

/** A scalar as text; '' for anything else. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : ''
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
