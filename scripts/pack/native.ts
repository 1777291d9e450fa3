// The compiled parts for every architecture. An addon is linked against nothing: `ld.lld` alone, so that what it needs is found
// in the Node that loads it, with glibc and with musl. A program has musl linked in.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compilerFlags, type Part, parts } from '../../native/parts.ts'
import type { Files } from './archive.ts'
import { ARCHITECTURES, type Architecture, nodeFor, zig } from './tools.ts'

const targets: Record<Architecture, string> = { x64: 'x86_64-linux-musl', arm64: 'aarch64-linux-musl' }

/** Compiles one part with zig into the file `target`. `headers`: the folder with node_api.h. Throws PackError. */
export function compilePart(part: Part, arch: Architecture, headers: string, target: string): void {
  // No place of this machine in the result, and no traps of zig's for undefined behaviour, which need its library.
  const common = ['cc', '-target', targets[arch], '-g0', '-fno-sanitize=all', `-ffile-prefix-map=${process.cwd()}=.`]
  const source = join(import.meta.dirname, '../../native', part.source)
  if (part.kind === 'program') {
    zig([...common, ...compilerFlags(part, headers, ['-static', '-s']), '-o', target, source])
    return
  }
  const flags = compilerFlags(part, headers, []).filter((flag) => !/^-(shared|nostdlib|Wl,)/.test(flag))
  const object = `${target}.o`
  zig([...common, ...flags, '-c', '-o', object, source])
  zig(['ld.lld', '-shared', '-z', 'now', '-s', '--hash-style=both', '-o', target, object])
  rmSync(object)
}

/** All of them, by `native/build/napi8-ARCH/NAME`, as kt looks for them. */
export function compileAll(): Files {
  const files: Files = new Map()
  const folder = mkdtempSync(join(tmpdir(), 'kt-pack-'))
  try {
    // Node-API and what is used of OpenSSL and libuv are the same for each architecture.
    const headers = join(nodeFor(process.arch as Architecture).folder, 'include/node')
    for (const arch of ARCHITECTURES)
      for (const part of parts) {
        const target = join(folder, part.target)
        compilePart(part, arch, headers, target)
        files.set(`native/build/napi8-${arch}/${part.target}`, { bytes: readFileSync(target), mode: 0o755 })
      }
    return files
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
