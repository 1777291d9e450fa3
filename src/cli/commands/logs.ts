// `kt logs`: the engine's log.
import { closeSync, constants, fstatSync, openSync, readSync, statSync, watch } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'
import type { Command } from 'commander'
import { logFile } from '../../control/paths.ts'
import { type Caller, whoCalls } from '../caller.ts'
import { CliError, printError } from '../output.ts'
import { withClusterOptions } from './common.ts'

export function addLogsCommand(program: Command): void {
  withClusterOptions(program.command('logs').description("the engine's log"))
    .option('-f, --follow', 'go on with what is written from now on')
    .action((options: { follow?: boolean }) => {
      const caller = whoCalls()
      becomeCaller(caller)
      const path = newestLog(caller.home, process.env)
      let fd: number
      try {
        fd = openLogFile(path)
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code
        if (code === 'ELOOP')
          throw new CliError(
            `${path} is no log of kt's: it is a link, or no file`,
            'remove it; `kt up` writes a new one',
          )
        if (code === 'ENOENT') throw new CliError(`there is no log yet (${path})`, '`kt up` writes one')
        throw new CliError(`${path} cannot be read: ${code}`, 'run the command as the user who ran `kt up`')
      }
      const chunk = Buffer.alloc(1 << 16)
      const decoder = new StringDecoder('utf8')
      let at = 0
      const copy = () => {
        if (fstatSync(fd).size < at) at = 0 // the log was started anew
        for (let n: number; (n = readSync(fd, chunk, 0, chunk.length, at)) > 0; at += n)
          process.stdout.write(decoder.write(chunk.subarray(0, n)))
      }
      copy()
      if (options.follow) follow(path, copy)
      else closeSync(fd)
    })
}

function follow(path: string, copy: () => void): void {
  const failed = (error: NodeJS.ErrnoException) =>
    new CliError(`${path} cannot be followed: ${error.code}`, '`kt logs` shows what is there')
  try {
    watch(path, copy).on('error', (error) => {
      printError(failed(error).message, failed(error).hint)
      process.exit(1)
    })
  } catch (error) {
    throw failed(error as NodeJS.ErrnoException)
  }
}

/** Under sudo: a log is the person's, and root's eyes are not lent to whatever lies in its place. For good. */
function becomeCaller({ sudo, uid, gid }: Caller): void {
  if (!sudo) return
  process.setgroups!([gid])
  process.setgid!(gid)
  process.setuid!(uid)
}

/** Opens a plain file. Throws ELOOP for a link or anything else, without waiting for the writer of a pipe. */
function openLogFile(path: string): number {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  if (fstatSync(fd).isFile()) return fd
  closeSync(fd)
  throw Object.assign(new Error('no plain file'), { code: 'ELOOP' })
}

/** Where the variable says, or where an engine started by sudo, which drops it, has written since. */
export function newestLog(home: string, env: NodeJS.ProcessEnv): string {
  const [named, usual] = [logFile(home, env), logFile(home, {})]
  return changed(usual) > changed(named) ? usual : named
}

function changed(path: string): number {
  try {
    return statSync(path).mtimeMs
  } catch {
    return 0 // there is none, or it may not be seen: opening it says so
  }
}
