// `kt help`: what there is; `kt help TOPIC`: a short text; `kt help COMMAND`: its flags. A name that is both gets both.
import type { Command } from 'commander'
import { CliError, EXIT } from '../output.ts'
import { topicNames, topics } from '../topics/index.ts'
import { acceptClusterOptions } from './common.ts'

export function addHelpCommand(program: Command): void {
  program.helpCommand(false)
  acceptClusterOptions(program.command('help'))
    .description('about a command or a topic')
    .argument('[topic]')
    .argument('[more...]')
    .action((topic: string | undefined, more: string[]) => help(program, topic, more))
  program.addHelpText('after', `\nTopics (\`kt help TOPIC\`): ${topicNames.join(', ')}`)
}

function help(program: Command, topic: string | undefined, more: string[]): void {
  if (topic === undefined) {
    program.outputHelp()
    return
  }
  const text = more.length === 0 && Object.hasOwn(topics, topic) ? topics[topic] : undefined
  const command = [topic, ...more].reduce<Command | undefined>(
    (at, name) => at?.commands.find((one) => one.name() === name || one.aliases().includes(name)),
    program,
  )
  if (!text && !command)
    throw new CliError(
      `there is no command or topic ${JSON.stringify([topic, ...more].join(' '))}`,
      `topics: ${topicNames.join(', ')}; \`kt --help\` lists the commands`,
      EXIT.usage,
    )
  const flags = command?.helpInformation() ?? ''
  process.stdout.write([text, flags].filter(Boolean).join('\n'))
}
