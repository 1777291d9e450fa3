// Programs of this machine that only some tests use: where one is missing, these tests skip themselves and say so.
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'

/** Why a test that runs this program cannot, or false. */
export function missing(program: string): string | false {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/bin', '/bin']
  const there = folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
  return there ? false : `${program} is not installed`
}
