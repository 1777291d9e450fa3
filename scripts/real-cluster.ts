// Finds the real cluster that the cluster tests run against: KT_TEST_CLUSTER names a program that makes one, by default
// ../shared/cluster/cluster beside the checkout; without it KUBECONFIG is taken; without both the tests skip themselves.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

/** Starts the cluster if it is not up, and sets KT_TEST_CLUSTER for the tests. Says what there is. */
export async function ensureCluster(): Promise<{ message: string }> {
  const program = process.env['KT_TEST_CLUSTER'] ?? resolve('../shared/cluster/cluster')
  if (!existsSync(program)) {
    delete process.env['KT_TEST_CLUSTER']
    return process.env['KUBECONFIG']
      ? { message: `the cluster of KUBECONFIG ${process.env['KUBECONFIG']}` }
      : { message: 'no real cluster: set KUBECONFIG to one to run these tests' }
  }
  if (process.getuid!() !== 0) {
    delete process.env['KT_TEST_CLUSTER']
    return { message: 'no real cluster: making one needs root' }
  }
  process.env['KT_TEST_CLUSTER'] = program
  if (answers(program)) return { message: `the cluster of ${program} is up` }
  const began = Date.now()
  try {
    execFileSync(program, ['down'], { stdio: 'ignore', timeout: 60_000 }) // what a restarted machine left
    execFileSync(program, ['up', '--nodes', '2'], { stdio: ['ignore', 'ignore', 'inherit'], timeout: 1_800_000 })
  } catch (error) {
    delete process.env['KT_TEST_CLUSTER']
    return { message: `no real cluster: ${program} up failed: ${(error as Error).message}` }
  }
  return { message: `started the cluster of ${program} in ${Math.round((Date.now() - began) / 1000)} s` }
}

function answers(program: string): boolean {
  try {
    execFileSync(program, ['kubectl', '--request-timeout=5s', 'get', '--raw', '/readyz'], {
      stdio: 'ignore',
      timeout: 15_000,
    })
    return true
  } catch {
    return false
  }
}
