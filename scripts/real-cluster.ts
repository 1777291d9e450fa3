// Finds the real cluster that the cluster tests run against: KT_TEST_CLUSTER names a program that makes one, by default
// ../shared/cluster/cluster beside the checkout; without it KUBECONFIG is taken; without both the tests skip themselves.
// A version of Kubernetes that was asked for is another matter: a cluster of another version, or none, is an error then.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

export interface ClusterWish {
  /** `v1.37.2` or `1.37.2`; by default whatever is up, or what the program starts by itself. */
  version?: string
  /** Default: this process's. KT_TEST_CLUSTER is set or deleted in it, for the tests. */
  env?: NodeJS.ProcessEnv
  /** Default: this process's user. */
  uid?: number
}

// Building another version takes up to 15 minutes the first time.
const UP_MS = 1_800_000

/**
 * Starts the cluster if it is not up in the wanted version, and sets KT_TEST_CLUSTER for the tests. Says what there is;
 * `failed` where the wanted version is not to be had.
 */
export async function ensureCluster({
  version,
  env = process.env,
  uid = process.getuid!(),
}: ClusterWish = {}): Promise<{ message: string; failed?: boolean }> {
  const wanted = version && `v${version.replace(/^v/, '')}`
  const program = env['KT_TEST_CLUSTER'] ?? resolve('../shared/cluster/cluster')
  const none = (why: string, otherwise: string) => {
    delete env['KT_TEST_CLUSTER']
    if (wanted) return { message: `no cluster of ${wanted}: ${why}`, failed: true }
    return { message: otherwise }
  }
  if (!existsSync(program)) {
    const why = `there is no program at ${program} to start one; set KT_TEST_CLUSTER`
    const { KUBECONFIG } = env
    return none(
      why,
      KUBECONFIG
        ? `the cluster of KUBECONFIG ${KUBECONFIG}`
        : 'no real cluster: set KUBECONFIG to one to run these tests',
    )
  }
  if (uid !== 0) return none('making one needs root', 'no real cluster: making one needs root')
  env['KT_TEST_CLUSTER'] = program
  const running = versionOf(program)
  if (running && (!wanted || running === wanted)) return { message: `the cluster of ${program} is up (${running})` }
  const began = Date.now()
  const words = ['up', '--nodes', '2', ...(wanted ? ['--version', wanted] : [])]
  try {
    execFileSync(program, ['down'], { stdio: 'ignore', timeout: 60_000 }) // another version, or what a restarted machine left
    execFileSync(program, words, { stdio: ['ignore', 'ignore', 'inherit'], timeout: UP_MS })
  } catch (error) {
    const why = `${program} ${words.join(' ')} failed: ${(error as Error).message}`
    return none(why, `no real cluster: ${why}`)
  }
  const now = versionOf(program)
  if (wanted && now !== wanted) return none(`${program} started ${now ?? 'one that does not answer'}`, '')
  return { message: `started the cluster of ${program} (${now}) in ${Math.round((Date.now() - began) / 1000)} s` }
}

/** `v1.34.4`; undefined where no cluster answers or it is not ready. */
function versionOf(program: string): string | undefined {
  const get = (path: string) =>
    execFileSync(program, ['kubectl', '--request-timeout=5s', 'get', '--raw', path], {
      stdio: ['ignore', 'pipe', 'ignore'],
      encoding: 'utf8',
      timeout: 15_000,
    })
  try {
    get('/readyz')
    return (JSON.parse(get('/version')) as { gitVersion: string }).gitVersion
  } catch {
    return undefined
  }
}
