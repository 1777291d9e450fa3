// The network of a shell, as one in which a program listens for requests from outside.
import type { ProgramNetwork } from '../inbound/program-network.ts'
import { LaunchError, type Launcher } from './launcher.ts'

/** `device`: the device's addresses, with prefix lengths. */
export function networkInside(launcher: Pick<Launcher, 'socket'>, device: readonly string[]): ProgramNetwork {
  return {
    hosts: ['127.0.0.1', '::1', ...device.map((cidr) => cidr.split('/')[0])],
    socket: (protocol, family) =>
      launcher.socket(protocol, family).catch((error) => {
        // With the launcher its program has gone: nobody listens.
        const gone = error instanceof LaunchError && error.step === 'launcher'
        throw gone ? Object.assign(new Error('the program has ended'), { code: 'ECONNREFUSED' }) : error
      }),
    portName: (port) => `port ${port} inside`,
  }
}
