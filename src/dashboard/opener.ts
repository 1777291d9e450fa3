// Opens the page in the desktop's browser. Every user of the machine can read the arguments of a process, so the address,
// which has a token, goes into a file that only this user can read; the browser is given the file's name.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TOKEN_MS } from './guard.ts'

export class Opener {
  readonly #env: NodeJS.ProcessEnv
  #folder: string | undefined

  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env
  }

  /** Does nothing where there is no desktop, or where no file can be written: the address is printed in any case. */
  open(address: string): void {
    if (!this.#env['DISPLAY'] && !this.#env['WAYLAND_DISPLAY']) return
    try {
      const file = this.#redirectFile(address)
      spawn('xdg-open', [file], { stdio: 'ignore', detached: true, env: this.#env })
        .on('error', () => {})
        .unref()
    } catch {
      this.close()
    }
  }

  /** Removes the file. */
  close(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true })
    this.#folder = undefined
  }

  /** mkdtemp makes the folder with mode 0700. */
  #redirectFile(address: string): string {
    this.close()
    const runtime = this.#env['XDG_RUNTIME_DIR']
    const folder = mkdtempSync(join(runtime && existsSync(runtime) ? runtime : tmpdir(), 'kt-dashboard-'))
    this.#folder = folder
    const file = join(folder, 'open.html')
    const page = `<!doctype html><meta charset="utf-8"><title>kt</title><meta http-equiv="refresh" content="0;url=${address}">\n`
    writeFileSync(file, page, { mode: 0o600, flag: 'wx' })
    setTimeout(() => this.close(), TOKEN_MS).unref()
    return file
  }
}
