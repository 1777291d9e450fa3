// The compiled parts of kt, and how each is compiled: with the system's compiler for this machine (build.ts), and with zig for
// each architecture when kt is packed (scripts/pack/native.ts).

export interface Part {
  /** Below native/. */
  source: string
  target: string
  /** An addon is loaded by Node and compiled against its headers; a program is started. */
  kind: 'addon' | 'program'
}

export const parts: readonly Part[] = [
  { source: 'tun.c', target: 'kt_tun.node', kind: 'addon' },
  { source: 'gcm.c', target: 'kt_gcm.node', kind: 'addon' },
  { source: 'launch.c', target: 'kt-launch', kind: 'program' },
  { source: 'shell.c', target: 'kt-shell', kind: 'program' },
  { source: '../shadow/kt-ping.c', target: 'kt-ping', kind: 'program' },
]

const warnings = ['-std=gnu11', '-O2', '-Wall', '-Wextra']
// An addon names no library: what it needs, Node and its C library have, whichever that is. It is looked for when the addon
// is loaded (-z now), so that something missing shows at once. The checks that compilers add would need a library.
const addon = [
  ...['-shared', '-fPIC', '-fvisibility=hidden', '-nostdlib', '-Wl,-z,now', '-Wl,-s'],
  ...['-fno-stack-protector', '-U_FORTIFY_SOURCE'],
]

/** The compiler's arguments, without the files. `headers`: the folder with node_api.h. */
export function compilerFlags({ kind }: Part, headers: string, program: readonly string[]): string[] {
  return [...warnings, ...(kind === 'addon' ? [...addon, `-I${headers}`] : program)]
}
