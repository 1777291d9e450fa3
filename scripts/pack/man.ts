// Manual pages, written from the definitions of the commands: kt(1) and a page a command in section 1, the topics of
// `kt help` in section 7. In the macros of man(7), which groff and mandoc both read.
import type { Command, Help, Option } from 'commander'
import { commandLine } from '../../src/cli/command-line.ts'
import { topics } from '../../src/cli/topics/index.ts'

export interface ManOptions {
  version: string
  /** Seconds since 1970. */
  time: number
}

export interface Manual {
  /** By file name: `kt-up.1`, `kt-rights.7`. */
  pages: Map<string, string>
  /** Pages under another name, by the name: `kt-connect.1` is `kt-up.1`. */
  aliases: Map<string, string>
}

export function manual(options: ManOptions): Manual {
  const program = commandLine()
  const help = program.createHelp()
  const pages = new Map([['kt.1', programPage(program, help, options)]])
  const aliases = new Map<string, string>()
  for (const command of help.visibleCommands(program)) {
    pages.set(`kt-${command.name()}.1`, commandPage(command, help, options))
    for (const alias of command.aliases()) aliases.set(`kt-${alias}.1`, `kt-${command.name()}.1`)
  }
  for (const [name, text] of Object.entries(topics)) pages.set(`kt-${name}.7`, topicPage(name, text, options))
  return { pages, aliases }
}

function programPage(program: Command, help: Help, options: ManOptions): string {
  const commands = help.visibleCommands(program)
  return page('kt', 1, program.description(), options, [
    synopsis([program]),
    '.SH DESCRIPTION',
    ...prose(program.description()),
    '.SH COMMANDS',
    ...commands.flatMap((command) => ['.TP', `.BR kt\\-${word(command.name())} (1)`, ...prose(command.description())]),
    ...optionSection(program, help),
    '.SH TOPICS',
    ...Object.entries(topics).flatMap(([name, text]) => ['.TP', `.BR kt\\-${word(name)} (7)`, ...prose(titleOf(text))]),
    ...exitStatus,
    ...files,
    ...seeAlso([...commands.map((command) => `kt-${command.name()}(1)`)]),
  ])
}

function commandPage(command: Command, help: Help, options: ManOptions): string {
  const children = help.visibleCommands(command).filter((child) => child.name() !== 'help')
  const topic = topics[command.name()] ? command.name() : command.aliases().find((alias) => topics[alias])
  return page(`kt-${command.name()}`, 1, command.description(), options, [
    synopsis(children.length > 0 ? children : [command]),
    '.SH DESCRIPTION',
    ...prose(command.description()),
    ...argumentSection(command, help),
    ...(children.length > 0
      ? [
          '.SH COMMANDS',
          ...children.flatMap((child) => [
            '.SS',
            `kt ${word(command.name())} ${word(help.subcommandTerm(child))}`,
            ...prose(child.description()),
            ...argumentLines(child, help),
            ...help.visibleOptions(child).flatMap((option) => optionLines(option, help)),
          ]),
        ]
      : []),
    ...optionSection(command, help),
    ...exitStatus,
    ...seeAlso(['kt(1)', ...(topic ? [`kt-${topic}(7)`] : [])]),
  ])
}

function topicPage(name: string, text: string, options: ManOptions): string {
  const [title, , ...lines] = text.trimEnd().split('\n')
  return page(`kt-${name}`, 7, title, options, [
    '.SH DESCRIPTION',
    // The texts are set for a terminal: lines and columns as they are.
    ...lines
      .join('\n')
      .split('\n\n')
      .flatMap((paragraph, at) => [...(at > 0 ? ['.PP'] : []), '.nf', ...paragraph.split('\n').map(line), '.fi']),
    ...seeAlso(['kt(1)']),
  ])
}

function page(name: string, section: number, title: string, { version, time }: ManOptions, body: string[]): string {
  const date = new Date(time * 1000).toISOString().slice(0, 10)
  const head = `.TH ${word(name.toUpperCase())} ${section} ${date} "kt ${word(version)}" "Manual of kt"`
  return `${[head, '.SH NAME', `${word(name)} \\- ${word(title.replace(/\.$/, ''))}`, ...body].join('\n')}\n`
}

function synopsis(commands: readonly Command[]): string {
  const lines = commands.map((command) => {
    const path: string[] = []
    for (let at: Command | null = command; at; at = at.parent) path.unshift(at.name())
    const operands = command
      .usage()
      .replace(/\[options\]/, '[OPTION]...')
      .replace('[command]', 'COMMAND')
    return `.B ${word(path.join(' '))}\n${line(operands)}`
  })
  return `.SH SYNOPSIS\n${lines.join('\n.br\n')}`
}

function argumentSection(command: Command, help: Help): string[] {
  const lines = argumentLines(command, help)
  return lines.length > 0 ? ['.SH OPERANDS', ...lines] : []
}

/** Of those that have something to be said of them. */
function argumentLines(command: Command, help: Help): string[] {
  return help
    .visibleArguments(command)
    .flatMap((argument) => [
      '.TP',
      `.I ${word(help.argumentTerm(argument))}`,
      ...prose(help.argumentDescription(argument)),
    ])
}

function optionSection(command: Command, help: Help): string[] {
  return ['.SH OPTIONS', ...help.visibleOptions(command).flatMap((option) => optionLines(option, help))]
}

function optionLines(option: Option, help: Help): string[] {
  // `-n, --namespace <name>`: flags are bold, what they take is not.
  const [, flags, value = ''] = /^((?:-[^ ,]+(?:, )?)+) ?(.*)$/.exec(option.flags)!
  const bold = flags
    .trim()
    .split(', ')
    .map((flag) => `\\fB${word(flag)}\\fR`)
  return [
    '.TP',
    `${bold.join(', ')}${value ? ` \\fI${word(value)}\\fR` : ''}`,
    ...prose(help.optionDescription(option)),
  ]
}

const exitStatus = [
  '.SH EXIT STATUS',
  ...[
    ['0', 'done'],
    ['1', 'failed'],
    ['2', 'wrong usage'],
    ['3', 'not connected'],
  ].flatMap(([code, meaning]) => ['.TP', `.B ${code}`, meaning]),
]

const files = [
  '.SH FILES',
  ...[
    ['~/.config/kt', 'defaults of the flags: kt config'],
    ['~/.local/state/kt/kt.log', 'what kt logs prints'],
    ['/run/kt/UID/', 'the control socket of a user while connected'],
    ['/run/kt/helper.sock', 'where members of the group kt reach the helper without sudo, on a machine with systemd'],
    ['/var/lib/kt/UID.json', 'how to undo what was changed on this machine'],
  ].flatMap(([path, what]) => ['.TP', `.I ${word(path)}`, line(what)]),
]

function seeAlso(pages: readonly string[]): string[] {
  const named = pages.map((one) => {
    const [, name, section] = /^(.*)\((\d)\)$/.exec(one)!
    return `.BR ${word(name)} (${section})`
  })
  return ['.SH SEE ALSO', ...named.map((one, at) => (at < named.length - 1 ? `${one} ,` : one))]
}

/** A sentence that is made of a description: it begins large and ends in a stop. */
function prose(text: string): string[] {
  const trimmed = text.trim()
  if (trimmed === '') return ['No more is said of it.']
  const sentence = `${trimmed[0].toUpperCase()}${trimmed.slice(1)}${/[.!?…]$/.test(trimmed) ? '' : '.'}`
  return sentence.split('\n').map(line)
}

const titleOf = (text: string): string => text.slice(0, text.indexOf('\n'))

/** A line that begins with nothing that roff takes for a request. */
function line(text: string): string {
  return text === '' ? '.sp' : word(text).replace(/^(?=[.']|\\\(aq)/, '\\&')
}

/** Text of which every character is itself: groff_char(7). */
function word(text: string): string {
  const special: Record<string, string> = {
    '\\': '\\e',
    '-': '\\-',
    "'": '\\(aq',
    '`': '\\(ga',
    '^': '\\(ha',
    '~': '\\(ti',
    '"': '\\(dq',
  }
  return [...text]
    .map(
      (one) =>
        special[one] ?? (one > '~' ? `\\[u${one.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}]` : one),
    )
    .join('')
}
