// A root file system with systemd as its first process, in namespaces of its own, for tests of what a package brings. The
// script runs beside systemd as root, when the system is up.
import { spawnSync } from 'node:child_process'

/** $1 the new root, $2 the script. What systemd does with cgroups stays below one of its own. */
const ENTER = `set -e
mkdir -p /run/kt-cg1 /run/kt-cg2
mount -t cgroup -o none,name=systemd cgroup /run/kt-cg1; mount -t cgroup2 cgroup2 /run/kt-cg2
for h in /run/kt-cg1 /run/kt-cg2; do mkdir -p $h/kt-test; echo $$ > $h/kt-test/cgroup.procs; done
umount /run/kt-cg1 /run/kt-cg2; rmdir /run/kt-cg1 /run/kt-cg2
exec unshare --cgroup sh -ec '
mount --bind "$1" "$1"; cd "$1"
mount --rbind /dev dev; mount -t proc proc proc; mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run; mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
mkdir -p sys/fs/cgroup/systemd sys/fs/cgroup/unified old
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
pivot_root . old; cd /; umount -l /old
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root NO_COLOR=1
(until systemctl is-system-running 2>/dev/null | grep -qE "running|degraded"; do sleep 0.1; done
sh -c "$2"; systemctl poweroff --force --force) &
exec env -i container=kt /lib/systemd/systemd --system --log-target=null >/dev/null 2>&1' sh "$1" "$2"`

/** The cgroups that the system left. */
const CLEAN = `mkdir -p /run/kt-cg1 /run/kt-cg2
mount -t cgroup -o none,name=systemd cgroup /run/kt-cg1; mount -t cgroup2 cgroup2 /run/kt-cg2
find /run/kt-cg1/kt-test /run/kt-cg2/kt-test -depth -type d -exec rmdir {} +
umount /run/kt-cg1 /run/kt-cg2; rmdir /run/kt-cg1 /run/kt-cg2`

const own = ['unshare', '--mount', '--propagation', 'private']

/** Why this machine cannot hold it, or false. */
export function noSystemd(): string | false {
  const mount =
    'mkdir /tmp/kt-cg-$$ && mount -t cgroup -o none,name=systemd cgroup /tmp/kt-cg-$$; r=$?; umount /tmp/kt-cg-$$; rmdir /tmp/kt-cg-$$; exit $r'
  const { status } = spawnSync(own[0], [...own.slice(1), 'sh', '-c', mount], { stdio: 'ignore' })
  return status !== 0 && 'this machine lets nobody mount the cgroups that systemd needs'
}

/** Runs `script` in `root`, behind `prefix` (a command that leads to a network). Returns what it printed. */
export function inSystemd(prefix: readonly string[], root: string, script: string, timeout: number): string {
  const namespaces = [...own, '--pid', '--uts', '--ipc', '--fork', '--kill-child']
  const [command, ...args] = [...prefix, ...namespaces, 'sh', '-c', ENTER, 'sh', root, script]
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout, killSignal: 'SIGKILL' })
  spawnSync(own[0], [...own.slice(1), 'sh', '-c', CLEAN], { stdio: 'ignore' })
  return `${stdout}${stderr}`
}
