// `kt files`: the files of a container in a folder of this machine.
import { resolve } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import type { HolderLine } from '../../control/holder.ts'
import type { PlaceFiles } from '../../control/place.ts'
import { whoCalls } from '../caller.ts'
import { hold, runTask } from '../holder.ts'
import { CliError } from '../output.ts'
import { missingWords } from '../place-words.ts'
import { clusterSelection } from '../selection.ts'
import { type ClusterOptions, withClusterOptions } from './common.ts'

interface FilesFlags extends ClusterOptions {
  container?: string
  to: string
  limit: number
  watch?: boolean
  strict?: boolean
}

export function addFilesCommand(program: Command): void {
  withClusterOptions(
    program
      .command('files')
      .description('the files of a container: ConfigMaps, Secrets, tokens and other volumes; needs no root')
      .argument('<target>', '[service/|deployment/|statefulset/|pod/]NAME'),
  )
    .requiredOption(
      '--to <folder>',
      'a folder for them, which is yours alone; /etc/app.yaml becomes FOLDER/etc/app.yaml',
    )
    .option('-c, --container <name>', 'the container (default: the one that serves the Service, or the first)')
    .option('--watch', 'stay, follow what changes in the cluster and renew tokens, until Ctrl-C')
    .option('--limit <megabytes>', 'how much is copied of each volume that only the pod has', megabytes, 100)
    .option('--strict', 'fail where something is missing (not with --watch)')
    .action(async (target: string, options: FilesFlags) => {
      const caller = whoCalls()
      const { container, limit, watch } = options
      const config = {
        ...clusterSelection(options, caller),
        target,
        container,
        to: resolve(options.to),
        most: limit * 1e6,
      }
      if (watch) {
        await hold({ ...config, kind: 'keep-files' }, caller, {
          ending: () => 'Ctrl-C ends it; the files stay.',
          ready: ({ files }) => files && tell(files, { ...options, strict: false }),
        })
        return
      }
      const { files } = (await runTask({ ...config, kind: 'files' }, caller)) as HolderLine & { type: 'files' }
      process.stdout.write(`the files of ${files.container} are in ${files.folder}\n`)
      tell(files, options)
    })
}

function tell({ container, containers, missing }: PlaceFiles, { container: chosen, strict }: FilesFlags): void {
  if (containers.length > 1 && chosen === undefined)
    process.stderr.write(`container ${container} of ${containers.join(', ')}; -c names another\n`)
  for (const line of missingWords(missing)) process.stderr.write(`${line}\n`)
  if (strict && missing.length > 0)
    throw new CliError(`${missing.length} of the files are missing`, 'leave --strict out to have the others')
}

function megabytes(text: string): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= 0 && number <= 100_000) return number
  throw new InvalidArgumentError('expected a whole number of megabytes, 0 to 100000.')
}
