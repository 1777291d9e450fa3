// The image of the command line, for pipelines: the single file, the three libraries of Debian that it needs, and busybox, since
// the steps of a pipeline are scripts for a shell. It is for `kt proxy`, `kt list`, `kt exchange` and the others that need no root.
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { type Files, type Folder, tar } from './archive.ts'
import { debianNames, debianTree } from './debian.ts'
import { ociArchive } from './oci.ts'
import type { Product } from './product.ts'
import { singleFile } from './single.ts'
import { ARCHITECTURES, type Architecture } from './tools.ts'

/** Nobody's number on a machine; what the shadow's image uses, too. */
const USER = 65532
const HOME = '/home/kt'

/** What Node is linked with, and the loader. */
const LIBRARIES = /^(ld-linux-.*|lib(c|m|dl|pthread)\.so\.[0-9]+|libgcc_s\.so\.1|libstdc\+\+\.so\.6.*)$/

/** What scripts of pipelines use. busybox has more, as `busybox NAME`. */
const APPLETS =
  `[ ash awk base64 basename cat chmod cp cut date dirname echo env expr false find grep head hostname id kill ln ls
  mkdir mktemp mv nc nohup nslookup printf ps pwd readlink rm sed seq sh sha256sum sleep sort stat tail tar tee test timeout touch
  tr true uname uniq wc wget which xargs`.split(/\s+/)

export async function ociImage(product: Product): Promise<Map<string, Buffer>> {
  const { version, commit, time, files } = product
  const platforms = []
  for (const arch of ARCHITECTURES) {
    const program: Files = new Map([
      ['usr/local/bin/kt', { bytes: await singleFile(product, arch), mode: 0o755 }],
      ...['LICENSE', 'NOTICE'].map((name) => [`usr/share/doc/kt/${name}`, files.get(name)!] as const),
    ])
    platforms.push({
      architecture: debianNames[arch],
      layers: [
        { tar: system(arch, time), about: 'libc6, libgcc-s1, libstdc++6 and busybox-static of Debian 12' },
        { tar: tar(program, { time, folders: foldersOf(program.keys()) }), about: `kt ${version}` },
      ],
    })
  }
  const image = ociArchive(platforms, {
    name: `localhost/kt:${version}`,
    time,
    labels: {
      'org.opencontainers.image.title': 'kt',
      'org.opencontainers.image.description':
        'This machine in the network of a Kubernetes cluster: the command line, for CI',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.revision': commit,
      'org.opencontainers.image.created': new Date(time * 1000).toISOString(),
      'org.opencontainers.image.licenses': 'Apache-2.0',
    },
    config: {
      User: `${USER}:${USER}`,
      Env: ['PATH=/usr/local/bin:/usr/bin:/bin', `HOME=${HOME}`],
      WorkingDir: HOME,
      Entrypoint: ['/usr/local/bin/kt'],
      Cmd: ['--help'],
    },
  })
  return new Map([[`kt-${version}-oci.tar`, image]])
}

/** Libraries, a shell, and the few files that programs expect. */
function system(arch: Architecture, time: number): Buffer {
  const tree = debianTree(arch)
  const files: Files = new Map()
  const links = new Map<string, string>()
  for (const path of readdirSync(tree, { recursive: true, encoding: 'utf8' })) {
    const name = path.slice(path.lastIndexOf('/') + 1)
    const isLibrary = /^(usr\/)?lib(64)?\//.test(path) && LIBRARIES.test(name)
    const found = lstatSync(join(tree, path))
    // The terms of the libraries of GCC are in a folder that theirs are links to.
    const isTerms = /^usr\/share\/doc\/[^/]+(\/copyright)?$/.test(path)
    if (!isLibrary && !isTerms && path !== 'bin/busybox') continue
    if (found.isSymbolicLink()) links.set(path, readlinkSync(join(tree, path)))
    else if (found.isFile()) files.set(path, { bytes: readFileSync(join(tree, path)), mode: found.mode & 0o777 })
  }
  for (const name of APPLETS) links.set(`bin/${name}`, 'busybox')
  const text = (path: string, lines: string) => files.set(path, { bytes: Buffer.from(lines), mode: 0o644 })
  text('etc/passwd', `root:x:0:0:root:/root:/bin/sh\nkt:x:${USER}:${USER}:kt:${HOME}:/bin/sh\n`)
  text('etc/group', `root:x:0:\nkt:x:${USER}:\n`)
  text('etc/nsswitch.conf', 'hosts: files dns\n')
  const owned: Folder[] = [
    { path: 'tmp', mode: 0o1777, owner: 0 },
    { path: 'root', mode: 0o700, owner: 0 },
    { path: HOME.slice(1), mode: 0o700, owner: USER },
  ]
  return tar(files, { time, links, folders: [...foldersOf([...files.keys(), ...links.keys()]), 'home', ...owned] })
}

/** Every folder that these paths lie in. */
function foldersOf(paths: Iterable<string>): string[] {
  const folders = new Set<string>()
  for (const path of paths) {
    const parts = path.split('/').slice(0, -1)
    for (let length = 1; length <= parts.length; length++) folders.add(parts.slice(0, length).join('/'))
  }
  return [...folders]
}
