// Where the helper runs for real in tests: a network, mount and process namespace with its own /etc, /run and /var/lib, the
// users ktdev (4711) and ktother (4713), and a machine with two addresses and a default route.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { showCheckout, shownAt } from '../support/readable.ts'

// The engine runs as another user, who may not enter every folder that a checkout lies in.
const place = '/run/checkout'
const namespace = `mount -t tmpfs t /run && mount -t tmpfs t /var/lib && mkdir /var/lib/kt /run/etc ${place} &&
  ${showCheckout(place)} &&
  cp -a /etc/. /run/etc/ && mount --rbind /run/etc /etc && rm -f /etc/resolv.conf &&
  printf 'nameserver 192.0.2.53\\nsearch corp.test\\noptions timeout:1\\n' >/etc/resolv.conf &&
  echo 'ktdev:x:4711:4711::/tmp:/bin/sh' >>/etc/passwd && echo 'ktdev:x:4711:' >>/etc/group && echo 'ktextra:x:4712:ktdev' >>/etc/group &&
  echo 'ktother:x:4713:4713::/tmp:/bin/sh' >>/etc/passwd && echo 'ktother:x:4713:' >>/etc/group &&
  mount -t sysfs s /sys && ip link set lo up && ip link add eth0 type veth peer name eth1 && ip link set eth0 addrgenmode none && ip link set eth1 addrgenmode none up && ip address add 192.0.2.2/24 dev eth0 &&
  ip address add 2001:db8::2/64 dev eth0 nodad && ip link set eth0 up && ip route add default via 192.0.2.1 && "$@"
  exit $?`

/** Runs `script SCENARIO` there, `script` a path from this folder. Rejects with what it wrote when it fails. */
export async function runScenario(script: string, scenario: string): Promise<void> {
  const args = [
    '-n',
    '-m',
    // Whatever a scenario that fails leaves ends with its first process, the shell.
    '-p',
    '--fork',
    '--kill-child',
    '--mount-proc',
    '--propagation',
    'private',
    'sh',
    '-ec',
    namespace,
    'sh',
    shownAt(place, process.execPath),
    shownAt(place, fileURLToPath(new URL(script, import.meta.url))),
    scenario,
  ]
  await promisify(execFile)('unshare', args, { timeout: 80_000 })
}
