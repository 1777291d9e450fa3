// The folder that a person names for files that may be secret: new, empty, or one that kt has made, and theirs alone.
import { chmodSync, lstatSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileErrorText } from '../../base/file-error.ts'
import { makeFolders } from '../../base/make-folders.ts'
import { ToldError } from '../../base/told-error.ts'

/** Says that what is in a folder is kt's to replace. */
const MARK = '.kt-files'

/** Throws ToldError `folder`. */
export function prepareFolder(folder: string): void {
  const unfit = (why: string) => new ToldError('folder', `${folder} ${why}`, 'name a new folder with --to')
  try {
    makeFolders(folder, 0o700)
    const { uid } = lstatSync(folder)
    if (uid !== process.getuid!()) throw unfit('is not yours')
    const names = readdirSync(folder)
    if (names.length > 0 && !names.includes(MARK)) throw unfit('holds files that kt has not made')
    chmodSync(folder, 0o700)
    writeFileSync(join(folder, MARK), 'kt files writes here, and replaces what is here\n', { mode: 0o600 })
  } catch (error) {
    throw error instanceof ToldError ? error : unfit(`cannot be used: ${fileErrorText(error)}`)
  }
}
