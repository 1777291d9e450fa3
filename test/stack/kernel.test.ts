// Our TCP against the kernel's: a TUN in a network namespace, servers on the stack, ordinary sockets as clients.
import { describe, test } from 'node:test'
import { missing } from '../support/programs.ts'
import { cannotRun, inNamespace } from '../tun/namespace.ts'

const why = cannotRun()

describe('against the kernel of this machine', { skip: why, concurrency: false }, () => {
  const scenarios: [string, string][] = [
    ['echo', 'bytes come back whole after a half-close, IPv4 and IPv6'],
    ['rejections', 'each rejection is the error a program expects'],
    ['resets', 'a reset is a reset on the other side, both ways'],
    ['datagrams', 'UDP of any size both ways, and port unreachable'],
    ['ping', 'ping of an own address, small and in fragments'],
    ['slow-reader', 'a program that does not read stops us, and gets everything in the end'],
    ['slow-owner', 'an owner that does not take stops the program, within the budget'],
    ['concurrent', '1,000 connections at once'],
    ['sequential', '5,000 connections one after the other leave nothing'],
    ['faults', 'bytes arrive whole over a line that drops, doubles and swaps frames'],
    ['speed', 'bulk in both directions'],
  ]
  for (const [scenario, name] of scenarios) {
    test(name, { skip: scenario === 'ping' && missing('ping') }, async (t) => {
      const output = await inNamespace('../stack/kernel-scenarios.ts', scenario)
      for (const line of output.trim().split('\n')) if (line) t.diagnostic(line)
    })
  }
})
