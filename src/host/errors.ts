// The one error of this folder: what and why in `message`, what to do in `hint`, both one line for the user.
import { ToldError } from '../base/told-error.ts'

export type HostErrorCode =
  | 'route-conflict' // a route that is there is as long as or longer than one of ours
  | 'route-lost' // another routing table wins over ours
  | 'command-missing' // no `ip`
  | 'command-failed' // `ip` refused
  | 'resolved' // systemd-resolved is wanted and does not answer, or refuses
  | 'resolv-conf' // the file cannot be replaced
  | 'resolv-conf-taken' // another kt, which lives, has replaced it
  | 'already-running' // this user's helper lives
  | 'journal' // /var/lib/kt cannot be used, or what is in it cannot be read
  | 'bad-request' // what the schema alone cannot tell
  | 'run-folder' // /run/kt cannot be made
  | 'state' // asked for in the wrong order

export class HostError extends ToldError<HostErrorCode> {
  override readonly name = 'HostError'
}
