// What may come next on a command line of kt, found in the program itself: commands, flags, values that are known, and
// what must be asked for. Pure.
import type { Argument, Command, Option } from 'commander'
import { allKeys } from '../config/keys.ts'

export interface Candidate {
  value: string
  description: string
}

/** What somebody else must be asked for. */
export type Live = 'contexts' | 'namespaces' | 'services' | 'targets' | 'profiles' | 'files'

export interface Completion {
  candidates: Candidate[]
  live?: Live
  /** The command the words lead to, and the values of its flags so far. */
  command: Command
  given: Record<string, string>
}

/** `words` are those after `kt`; the last one is being written and may be empty. */
export function complete(program: Command, words: readonly string[], topics: readonly string[] = []): Completion {
  const rest = joined(words)
  const current = rest.pop() ?? ''
  let command = program
  let operands = 0
  let pending: Option | undefined
  let flagsOver = false
  const given: Record<string, string> = {}
  for (const word of rest) {
    if (pending) {
      given[pending.attributeName()] = word
      pending = undefined
    } else if (word === '--') {
      flagsOver = true
    } else if (!flagsOver && word.startsWith('-') && word !== '-') {
      const [name, value] = split(word)
      const option = command.options.find(({ short, long }) => short === name || long === name)
      if (option?.required && value === undefined) pending = option
      else if (option) given[option.attributeName()] = value ?? 'true'
    } else {
      const child = operands === 0 ? findCommand(command, word) : undefined
      if (child) command = child
      else operands++
    }
  }
  const result = (candidates: Candidate[], live?: Live): Completion => ({ candidates, live, command, given })
  const matching = (candidates: Candidate[]) => candidates.filter(({ value }) => value.startsWith(current))

  if (pending) {
    const { candidates, live } = valuesOf(pending)
    return result(matching(candidates), live)
  }
  const [name, begun] = split(current)
  if (!flagsOver && current.startsWith('--') && begun !== undefined) {
    const option = command.options.find(({ long }) => long === name)
    const { candidates, live } = option ? valuesOf(option) : { candidates: [] }
    // The shell replaces the whole word; what is asked for is completed by the caller, which knows the word.
    return result(
      candidates
        .map((one) => ({ ...one, value: `${name}=${one.value}` }))
        .filter(({ value }) => value.startsWith(current)),
      live,
    )
  }
  if (!flagsOver && current.startsWith('-')) return result(matching(flagsOf(command, given)))
  const commands = operands === 0 ? commandsOf(command) : []
  const { candidates, live } = operandsOf(command, operands, program, topics)
  return result(matching([...commands, ...candidates]), live)
}

// bash cuts `--dns=auto` into three words.
function joined(words: readonly string[]): string[] {
  const result: string[] = []
  for (const word of words) {
    const last = result.at(-1)
    if (word === '=' && last?.startsWith('--')) result[result.length - 1] = `${last}=`
    else if (last?.startsWith('--') && last.endsWith('=')) result[result.length - 1] = last + word
    else result.push(word)
  }
  return result
}

function split(word: string): [name: string, value: string | undefined] {
  const at = word.indexOf('=')
  return word.startsWith('--') && at > 0 ? [word.slice(0, at), word.slice(at + 1)] : [word, undefined]
}

function findCommand(command: Command, word: string): Command | undefined {
  return command.commands.find((one) => one.name() === word || one.aliases().includes(word))
}

function commandsOf(command: Command): Candidate[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map((one) => ({ value: one.name(), description: one.description() }))
}

function flagsOf(command: Command, given: Record<string, string>): Candidate[] {
  const flags = command.options
    .filter((option) => option.long && !option.hidden)
    .filter((option) => !(option.attributeName() in given) || isRepeatable(option))
    .map((option) => ({ value: option.long!, description: option.description }))
  return [...flags, { value: '--help', description: 'what the command does' }]
}

function isRepeatable({ description }: Option): boolean {
  return description.includes('repeatable')
}

const liveFlags: Record<string, Live> = {
  '--namespace': 'namespaces',
  '--context': 'contexts',
  '--kubeconfig': 'files',
  '--profile': 'profiles',
  '--pcap': 'files',
}

function valuesOf(option: Option): { candidates: Candidate[]; live?: Live } {
  const parser = option.parseArg as { allowed?: readonly string[] } | undefined
  const choices = option.argChoices ?? parser?.allowed ?? []
  return { candidates: choices.map((value) => ({ value, description: '' })), live: liveFlags[option.long ?? ''] }
}

const recordTypes = ['A', 'AAAA', 'SRV', 'PTR', 'TXT', 'MX', 'NS', 'CNAME', 'SOA']

function operandsOf(
  command: Command,
  index: number,
  program: Command,
  topics: readonly string[],
): { candidates: Candidate[]; live?: Live } {
  const argument: Argument | undefined =
    command.registeredArguments[index] ?? command.registeredArguments.findLast(({ variadic }) => variadic)
  const plain = (values: readonly string[]) => values.map((value) => ({ value, description: '' }))
  if (!argument) return { candidates: [] }
  if (argument.argChoices) return { candidates: plain(argument.argChoices) }
  switch (argument.name()) {
    case 'key':
      return { candidates: plain(allKeys(program)) }
    case 'topic':
      return {
        candidates:
          index === 0 ? [...commandsOf(program), ...plain(topics.filter((one) => !findCommand(program, one)))] : [],
      }
    case 'type':
      return { candidates: plain(recordTypes) }
    case 'target':
      return { candidates: [], live: 'targets' }
    case 'name':
      return { candidates: [], live: command.parent?.name() === 'dns' ? 'services' : undefined }
    default:
      return { candidates: [] }
  }
}
