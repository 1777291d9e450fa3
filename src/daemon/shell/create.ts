// Puts a shell together for this process: its descriptors, devices, clock and random numbers.
import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import { systemClock } from '../../base/clock.ts'
import { useNative } from '../../base/installation.ts'
import type { InboundConfig, ShellConfig } from '../../control/holder.ts'
import { startPinger } from '../../shadow/ping.ts'
import { attachTun, receiveDescriptor } from '../../tun/native.ts'
import { createDialer } from '../dialer.ts'
import type { HolderDeps, Holding } from '../inbound/holding.ts'
import type { ProgramNetwork } from '../inbound/program-network.ts'
import { uniform32 } from '../random.ts'
import { InboundInShell, sharedDeps, shellConfigOf } from './inbound-in-shell.ts'
import { Launcher } from './launcher.ts'
import { Shell } from './shell.ts'

/** As the command that starts us passes them: a Unix socket for descriptors, and one for lines. */
const DESCRIPTORS = 3
const LINES = 4
/** A process that is started under load takes its time. */
const PINGER_MS = 5_000

export function createShell(config: ShellConfig, deps: HolderDeps): Shell {
  return shellOf(config, deps, createLauncher())
}

/** `kt exchange --shell` and the like. `exchange` makes what is held, for a program in this network. */
export function createInboundInShell(
  config: InboundConfig,
  deps: HolderDeps,
  exchange: (deps: HolderDeps, network: ProgramNetwork) => Holding,
): { holding: Holding; shell: Shell } {
  const launcher = createLauncher()
  const shared = sharedDeps(deps)
  const shell = shellOf(shellConfigOf(config), shared.shell, launcher)
  const holding = new InboundInShell({ exchange: exchange(shared.exchange, shell.network), shell, launcher })
  return { holding, shell }
}

function createLauncher(): Launcher {
  return new Launcher({
    lines: new Socket({ fd: LINES }),
    receive: () => receiveDescriptor(DESCRIPTORS),
    closeDescriptor: closeSync,
  })
}

function shellOf(config: ShellConfig, deps: HolderDeps, launcher: Launcher): Shell {
  return new Shell(config, {
    ...deps,
    clock: systemClock,
    dialer: (closing) => createDialer(deps.cluster, config, deps.log, closing),
    launcher,
    attach: attachTun,
    pinger: () => useNative('kt-ping', (file) => startPinger(file, PINGER_MS, systemClock)),
    random: uniform32(),
  })
}
