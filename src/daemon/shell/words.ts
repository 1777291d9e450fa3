// Why there can be no namespace here, in a sentence, and what to do. Pure.
import { ToldError } from '../../base/told-error.ts'

export interface MachineSettings {
  /** /proc/sys/kernel/apparmor_restrict_unprivileged_userns, '' where there is none. */
  appArmor: string
  /** /proc/sys/kernel/unprivileged_userns_clone (Debian), '' where there is none. */
  clone: string
  /** /proc/sys/user/max_user_namespaces. */
  most: string
}

const told = (message: string, hint: string) => new ToldError('no-namespace', message, hint)

/** `step` and `code` are the launcher's. */
export function noNamespace(step: string, code: string, { appArmor, clone, most }: MachineSettings): ToldError {
  const forbidden = code === 'EPERM' || code === 'EACCES'
  if (step === 'tun') {
    if (forbidden)
      return told(
        '/dev/net/tun may not be opened by this user',
        '`sudo chmod 0666 /dev/net/tun` lets everybody open it',
      )
    return told(
      '/dev/net/tun is missing',
      '`sudo modprobe tun` makes it; a container is given it by --device /dev/net/tun',
    )
  }
  if (step === 'file')
    return told(
      `/etc/resolv.conf cannot be replaced for one program (${code})`,
      'it must be a file that is there: see where it leads with `ls -l /etc/resolv.conf`',
    )
  if (forbidden && appArmor.trim() === '1')
    return told(
      'AppArmor keeps ordinary programs from making namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)',
      '`sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` permits it until the next start',
    )
  if (forbidden && clone.trim() === '0')
    return told(
      'this machine permits namespaces to root alone (kernel.unprivileged_userns_clone is 0)',
      '`sudo sysctl -w kernel.unprivileged_userns_clone=1` permits it until the next start',
    )
  if (code === 'ENOSPC' || most.trim() === '0')
    return told(
      `no further user namespace can be made (user.max_user_namespaces is ${most.trim() || 'unknown'})`,
      '`sudo sysctl -w user.max_user_namespaces=10000` permits more until the next start',
    )
  if (forbidden)
    return told(
      'user namespaces are forbidden here, as the seccomp profile of a container does',
      'start the container with --security-opt seccomp=unconfined --device /dev/net/tun',
    )
  return told(
    `the namespace of the shell could not be made (${step}: ${code})`,
    '`kt logs` may say more; please report it',
  )
}

/** What the launcher's errors say of a port of the command. */
export function portWords(port: number, code: string): string {
  if (code === 'ECONNREFUSED') return `nothing listens on port ${port} inside`
  return `port ${port} inside does not answer (${code})`
}
