// `kt completion SHELL` prints the shell's script; the hidden `kt __complete` answers it.
import { Argument, type Command } from 'commander'
import { complete } from '../completion/complete.ts'
import { liveNames } from '../completion/live.ts'
import { scripts } from '../completion/scripts.ts'
import { topicNames } from '../topics/index.ts'
import { acceptClusterOptions } from './common.ts'

export function addCompletionCommands(program: Command): void {
  acceptClusterOptions(program.command('completion'))
    .description('completion for a shell: `source <(kt completion bash)`')
    .addArgument(new Argument('<shell>').choices(Object.keys(scripts)))
    .action((shell: keyof typeof scripts) => void process.stdout.write(scripts[shell]))
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .action(async (words: string[]) => {
      const answer = complete(program, words, topicNames)
      const lines = answer.candidates.map(({ value, description }) => `${value}\t${description.split('\n')[0]}`)
      if (answer.live === 'files') lines.push('\tfiles')
      else if (answer.live) {
        // `--namespace=sh` asks for values, and the shell for the whole word.
        const [, flag, begun] = /^(--[^=]+=)?(.*)$/s.exec(words.at(-1) === '=' ? '' : (words.at(-1) ?? ''))!
        const names = await liveNames(answer, begun)
        lines.push(...names.filter((name) => name.startsWith(begun)).map((name) => `${flag ?? ''}${name}\t`))
      }
      process.stdout.write(lines.map((line) => `${line}\n`).join(''))
    })
}
