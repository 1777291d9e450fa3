// kt-shell against the kernel, as an ordinary user. The scenarios themselves are in launcher-scenarios.ts and run in a
// namespace, where the device may be opened by everybody.
import { test } from 'node:test'
import { cannotRun, inNamespace } from '../tun/namespace.ts'

const scenarios = {
  inside: 'inside: the only way out is the device, names are ours, ids and files as before, no capability',
  place: "a container's files are at their own paths, read-only, and the machine's own stay as they are",
  'place-tricks': 'no link leads the launcher out of the folder with the files',
  root: 'as root: the same, and no capability either',
  exits: 'the exit code and the signal of the command are those of the launcher, and signals are handed on',
  'left-behind': 'what the command has left in the background ends with it',
  'engine-gone': 'the end of the engine is the end of all that runs inside',
  'caller-gone': 'the end of the caller is the end of all that runs inside',
  'launcher-killed': 'a launcher that is killed takes the command along, and the engine what is left',
  sockets: 'ports of the command are reached on 127.0.0.1, on ::1 and on its address, and refused where nobody listens',
  'interrupt-by-caller': 'an interrupt that the caller sends by itself reaches the command',
  'no-device': 'a device that is missing or closed is told, and nothing was started',
  'not-found': 'a command that is not there ends with 127, one that may not be run with 126',
}

for (const [scenario, proves] of Object.entries(scenarios)) {
  test(proves, { skip: cannotRun() }, async () => {
    await inNamespace('../shell/launcher-scenarios.ts', scenario)
  })
}
