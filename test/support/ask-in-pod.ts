// A question asked by a program in a pod that prints its answer as JSON.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/**
 * The last statement of such a program. Not `process.exit`: Node 24 on musl was seen to wait for ever in a futex on its way
 * out, about one time in fifteen after a download of 100 MB, with every byte read.
 */
export const leave = `process.kill(process.pid, 'SIGKILL')`

/** Runs `script` by Node in `pod` with `question` as its first argument; `cluster` is the cluster's program. Returns what it printed. */
export async function askInPod(
  cluster: string,
  namespace: string,
  pod: string,
  script: string,
  question: object,
  timeoutMs: number,
): Promise<unknown> {
  const inPod = ['kubectl', '-n', namespace, 'exec', pod, '--']
  // 128 and SIGKILL: it has come to its end.
  const shell = ['sh', '-c', 'node -e "$0" "$1"; [ $? = 137 ]', script, JSON.stringify(question)]
  const { stdout } = await promisify(execFile)(cluster, [...inPod, ...shell], { timeout: timeoutMs })
  return JSON.parse(stdout)
}
