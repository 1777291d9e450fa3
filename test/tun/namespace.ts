// Runs a scenario of a script in a network namespace of its own, so that tests see the real kernel and this machine
// sees nothing of them.
import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { useNative } from '../../src/base/installation.ts'
import { showCheckout, shownAt } from '../support/readable.ts'

const here = dirname(fileURLToPath(import.meta.url))

/** Why such tests cannot run here, or false. */
export function cannotRun(): string | false {
  if (process.getuid?.() !== 0) return 'needs root (network namespaces, /dev/net/tun)'
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
    useNative('kt_tun.node', () => {})
  } catch (error) {
    return (error as Error).message
  }
  return false
}

const place = '/run/checkout'
const enter = `mount -t tmpfs tmpfs /run && mkdir ${place} && ${showCheckout(place)} && exec "$@"`

/**
 * Runs `node SCRIPT SCENARIO` in a new network namespace, from a place that every user may read; rejects with its output
 * unless it exits 0 within a minute.
 */
export async function inNamespace(script: string, scenario: string): Promise<string> {
  const command = [shownAt(place, process.execPath), shownAt(place, join(here, script)), scenario]
  const args = ['-n', '-m', '--propagation', 'private', 'sh', '-ec', enter, 'sh', ...command]
  const { stdout } = await promisify(execFile)('unshare', args, { timeout: 60_000 })
  return stdout
}
