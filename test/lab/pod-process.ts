// Runs one container of the API-server double as a process: a root of its own (the machine's /usr, read-only, an /etc
// with the cluster's resolver, the Secrets mounted where the pod wants them), the user the pod asks for, in the
// namespace of the network the double itself is in.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface ContainerOptions {
  /** An empty folder of the lab for this pod. */
  directory: string
  command: string[]
  env: Record<string, string>
  uid: number
  gid: number
  resolvConf: string
  /** Files by name, to be mounted read-only at `path`. */
  mounts: { path: string; files: Record<string, Buffer> }[]
  hostname: string
}

// $1 the new root, $2 Node's folder, $3 uid:gid, then SOURCE TARGET pairs up to --, then the command.
const script = `set -e
root=$1 node=$2 user=$3; shift 3
mount -t tmpfs -o mode=755 tmpfs "$root"
for d in usr bin sbin lib lib32 lib64 libx32; do
  if [ -L "/$d" ]; then cp -P "/$d" "$root/$d"
  elif [ -d "/$d" ]; then mkdir "$root/$d"; mount --bind "/$d" "$root/$d"; mount -o remount,bind,ro "$root/$d"; fi
done
for d in proc dev sys; do mkdir "$root/$d"; mount --rbind "/$d" "$root/$d"; done
mkdir "$root/tmp" "$root/node"
mount --bind "$node" "$root/node"
while [ "$1" != -- ]; do
  mkdir -p "$root$2"; mount --bind "$1" "$root$2"; mount -o remount,bind,ro "$root$2"; shift 2
done
shift
mount -o remount,ro "$root"
exec chroot --userspec="$user" --groups= "$root" "$@"`

/** Starts the container. What it writes goes to `log`, a line at a time or in pieces. */
export function startContainer(options: ContainerOptions, log: (text: string) => void): ChildProcess {
  const root = join(options.directory, 'root')
  const etc = join(options.directory, 'etc')
  mkdirSync(root, { recursive: true })
  mkdirSync(etc, { recursive: true })
  writeFileSync(join(etc, 'resolv.conf'), options.resolvConf)
  writeFileSync(join(etc, 'hosts'), `127.0.0.1 localhost\n::1 localhost\n127.0.0.1 ${options.hostname}\n`)
  writeFileSync(join(etc, 'hostname'), `${options.hostname}\n`)
  writeFileSync(join(etc, 'passwd'), `root:x:0:0:root:/root:/bin/sh\npod:x:${options.uid}:${options.gid}::/:/bin/sh\n`)
  writeFileSync(join(etc, 'nsswitch.conf'), 'hosts: files dns\n')
  const pairs = [etc, '/etc']
  for (const [i, { path, files }] of options.mounts.entries()) {
    const source = join(options.directory, `volume-${i}`)
    mkdirSync(source, { recursive: true })
    for (const [name, content] of Object.entries(files)) writeFileSync(join(source, name), content, { mode: 0o444 })
    pairs.push(source, path)
  }
  const env = Object.entries({ PATH: '/node:/usr/local/bin:/usr/bin:/bin', HOME: '/', ...options.env })
  const child = spawn(
    'unshare',
    [
      ...['--mount', '--propagation', 'private', 'sh', '-c', script, 'pod', root, dirname(process.execPath)],
      ...[`${options.uid}:${options.gid}`, ...pairs, '--'],
      ...['/usr/bin/env', '-i', ...env.map(([name, value]) => `${name}=${value}`), ...options.command],
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' },
  )
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', log)
  child.on('exit', () => rmSync(options.directory, { recursive: true, force: true }))
  return child
}
