// `kt version`: of this command, and of both ends of the connection while there is one.
import type { Command } from 'commander'
import { installedAs, notices } from '../../base/installation.ts'
import { connectControl } from '../../control/client.ts'
import { controlSocket } from '../../control/paths.ts'
import type { Status } from '../../control/protocol.ts'
import { VERSION } from '../../control/version.ts'
import { whoCalls } from '../caller.ts'
import { printFields, printJson } from '../output.ts'
import { withClusterOptions } from './common.ts'

export function addVersionCommand(program: Command): void {
  withClusterOptions(program.command('version').description('versions of this kt, and of both ends while connected'))
    .option('--verbose', 'also how it was installed')
    .option('--licences', 'the terms of all that is inside')
    .option('--json', 'one JSON object')
    .action(async (options: { json?: boolean; verbose?: boolean; licences?: boolean }) => {
      if (options.licences) {
        process.stdout.write(notices() ?? 'kt: Apache License 2.0, see LICENSE; its packages: see node_modules\n')
        return
      }
      const status = await engineStatus()
      const shadow = status?.shadow ?? null
      const { node, openssl } = process.versions
      if (options.json) {
        printJson({
          kt: VERSION,
          node,
          openssl,
          platform: `${process.platform}-${process.arch}`,
          engine: status ? { version: status.version ?? null, pid: status.pid } : null,
          ...(options.verbose && { installed: installedAs() }),
          shadow: shadow && { kind: shadow.kind, version: shadow.version, image: shadow.image },
        })
        return
      }
      printFields([
        ['kt', `${VERSION} (Node ${node}, OpenSSL ${openssl}, ${process.platform}-${process.arch})`],
        ['installed', options.verbose ? installedAs() : undefined],
        ['engine', status ? engineText(status) : 'not connected'],
        ['shadow', shadow ? `${shadow.kind} ${shadow.version ?? 'unknown'} (${shadow.image})` : undefined],
      ])
    })
}

function engineText({ version, pid }: Partial<Status>): string {
  const other = version === VERSION ? '' : '; `kt down` and `kt up` again bring it to the version of this command'
  return `${version ?? 'an older kt'} (process ${pid})${other}`
}

async function engineStatus(): Promise<Status | undefined> {
  const { client } = await connectControl(controlSocket(whoCalls().uid))
  if (!client) return undefined
  try {
    return await client.request('status', {})
  } finally {
    client.close()
  }
}
