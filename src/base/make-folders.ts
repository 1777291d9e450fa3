// Makes a folder whose path comes from a person or from the environment.
import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a folder and those above it that are missing, each with `mode`. Node's own `recursive` never returns where the
 * kernel says ENOENT although the folder above is there, as below /proc. Throws Node's errors.
 */
export function makeFolders(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && statSync(path).isDirectory()) return
    const above = dirname(path)
    if (code !== 'ENOENT' || above === path || statSync(above, { throwIfNoEntry: false })) throw error
    makeFolders(above, mode)
    mkdirSync(path, { mode })
  }
}
