// The addon against the kernel. The scenarios themselves are in native-scenarios.ts and run in a namespace.
import { test } from 'node:test'
import { cannotRun, inNamespace } from './namespace.ts'

const scenarios = {
  'udp-echo': 'a datagram of the kernel arrives, and the answer written to the device reaches the program',
  'tso-v4': 'TCP over IPv4 arrives as super-segments larger than the MTU',
  'tso-v6': 'TCP over IPv6 arrives as super-segments larger than the MTU',
  'full-queue': 'a full queue and a link that is down lose packets and block nobody',
  inherited: 'a process without rights attaches to an inherited descriptor and sees the packets',
  gone: 'an interface that is deleted is reported once',
  close: 'closing removes the interface and lets the process end',
  names: 'the first free number is taken, a device of somebody else never',
  'bad-frames': 'frames outside the arena are an error, malformed ones are skipped',
}

for (const [scenario, proves] of Object.entries(scenarios)) {
  test(proves, { skip: cannotRun() }, async () => {
    await inNamespace('native-scenarios.ts', scenario)
  })
}
