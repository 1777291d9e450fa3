// The packages for Debian and its relatives (.deb), and for Fedora and its relatives (.rpm), made by nFPM: the single file, the
// helper's systemd units, manual pages, completion for three shells, and what a package has to say of its licences.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { scripts } from '../../src/cli/completion/scripts.ts'
import { type Files, gzip } from './archive.ts'
import { manual } from './man.ts'
import type { Product } from './product.ts'
import { type Architecture, nfpm } from './tools.ts'
import { billOfMaterials } from './trust.ts'

export const PACKAGERS = ['deb', 'rpm'] as const
export type Packager = (typeof PACKAGERS)[number]

/** What each calls an architecture. */
const architectures: Record<Packager, Record<Architecture, string>> = {
  deb: { x64: 'amd64', arm64: 'arm64' },
  rpm: { x64: 'x86_64', arm64: 'aarch64' },
}

/** As each distribution names its files. */
const nameOf: Record<Packager, (version: string, arch: string) => string> = {
  deb: (version, arch) => `kt_${version}_${arch}.deb`,
  rpm: (version, arch) => `kt-${version}-1.${arch}.rpm`,
}

/** There is no address yet: RFC 2606, 2. */
const MAINTAINER = 'The kt authors <kt@kt.invalid>'

interface Contents {
  files: Files
  /** Symbolic links: path to what it says. */
  links: Map<string, string>
}

/** A package of a single file: its name in out/, and its bytes. Throws PackError. */
export function linuxPackage(
  product: Product,
  packager: Packager,
  arch: Architecture,
  program: Buffer,
): [name: string, bytes: Buffer] {
  const folder = mkdtempSync(join(tmpdir(), 'kt-package-'))
  try {
    const { files, links } = contentsOf(product, packager, program)
    for (const [path, { bytes }] of files) {
      mkdirSync(dirname(join(folder, 'root', path)), { recursive: true })
      writeFileSync(join(folder, 'root', path), bytes)
    }
    const date = new Date(product.time * 1000).toISOString()
    const config = {
      ...{ name: 'kt', arch: architectures[packager][arch], platform: 'linux', version: product.version, mtime: date },
      ...{ section: 'net', priority: 'optional', maintainer: MAINTAINER, vendor: 'kt', license: 'Apache-2.0' },
      disable_globbing: true,
      contents: [
        ...[...files].map(([path, { mode }]) => ({
          src: join(folder, 'root', path),
          dst: `/${path}`,
          file_info: { mode, mtime: date, owner: 'root', group: 'root' },
          ...(packager === 'rpm' &&
            /^usr\/share\/(doc|licenses)\//.test(path) && { type: /licenses/.test(path) ? 'license' : 'doc' }),
        })),
        // rpm removes the folders that a package names.
        ...(packager === 'rpm'
          ? ['doc', 'licenses'].map((name) => ({
              dst: `/usr/share/${name}/kt`,
              type: 'dir',
              file_info: { mode: 0o755, mtime: date },
            }))
          : []),
        ...[...links].map(([path, target]) => ({
          src: target,
          dst: `/${path}`,
          type: 'symlink',
          file_info: { mtime: date },
        })),
      ],
      ...particulars[packager](folder),
    }
    const name = nameOf[packager](product.version, architectures[packager][arch])
    writeFileSync(join(folder, 'nfpm.json'), JSON.stringify(config))
    nfpm(['package', '--config', join(folder, 'nfpm.json'), '--packager', packager, '--target', join(folder, name)], {
      SOURCE_DATE_EPOCH: String(product.time),
    })
    return [name, readFileSync(join(folder, name))]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const SUMMARY = 'your machine in the network of a Kubernetes cluster'
const DESCRIPTION = [
  [
    'kt brings the network of a Kubernetes cluster to this machine: addresses of',
    "pods and services work, and so do the cluster's DNS names. Requests for a",
    'service can be brought to a program that runs here.',
  ],
  [
    "It is a userspace VPN on top of the API server's port-forward, and needs",
    'neither a sidecar in the cluster nor iptables here.',
  ],
].map((paragraph) => paragraph.join('\n'))

/** What is not the same in both. */
const particulars: Record<Packager, (folder: string) => object> = {
  deb: (folder) => ({
    description: [SUMMARY, DESCRIPTION.join('\n.\n')].join('\n'),
    depends: ['libc6 (>= 2.28)', 'libgcc-s1 (>= 3.4)', 'libstdc++6 (>= 9)', 'iproute2', 'passwd'],
    recommends: ['sudo'],
    scripts: {
      postinstall: script(folder, 'deb.postinst'),
      preremove: script(folder, 'deb.prerm'),
      postremove: script(folder, 'deb.postrm'),
    },
    deb: { compression: 'zstd' },
  }),
  rpm: (folder) => ({
    description: DESCRIPTION.join('\n\n'),
    depends: [
      'libc.so.6(GLIBC_2.28)(64bit)',
      'libstdc++.so.6()(64bit)',
      '/usr/sbin/ip',
      '/usr/sbin/groupadd',
      '/usr/bin/getent',
    ],
    recommends: ['sudo'],
    scripts: {
      postinstall: script(folder, 'rpm.post'),
      preremove: script(folder, 'rpm.preun'),
      postremove: script(folder, 'rpm.postun'),
    },
    rpm: { compression: 'zstd', group: 'Applications/Internet', summary: SUMMARY, buildhost: 'kt' },
  }),
}

const place = join(import.meta.dirname, 'linux')

/** A maintainer script, written where nFPM reads it. */
function script(folder: string, name: string): string {
  const text = readFileSync(join(place, name), 'utf8')
  const target = join(folder, name)
  writeFileSync(
    target,
    text.replace('@END-ALL@\n', () => readFileSync(join(place, 'end-all.sh'), 'utf8')),
  )
  return target
}

function contentsOf(product: Product, packager: Packager, program: Buffer): Contents {
  const files: Files = new Map()
  const links = new Map<string, string>()
  const add = (path: string, content: Buffer | string, mode = 0o644) =>
    files.set(path, { bytes: Buffer.from(content), mode })
  add('usr/bin/kt', program, 0o755)
  for (const unit of readdirSync(place).filter((name) => /\.(socket|service)$/.test(name)))
    add(`usr/lib/systemd/system/${unit}`, readFileSync(join(place, unit)))
  const { pages, aliases } = manual(product)
  for (const [name, text] of pages) add(`usr/share/man/man${name.at(-1)}/${name}.gz`, gzip(Buffer.from(text)))
  for (const [name, target] of aliases) links.set(`usr/share/man/man1/${name}.gz`, `${target}.gz`)
  add('usr/share/bash-completion/completions/kt', scripts.bash)
  add(`usr/share/zsh/${packager === 'deb' ? 'vendor-completions' : 'site-functions'}/_kt`, scripts.zsh)
  add('usr/share/fish/vendor_completions.d/kt.fish', scripts.fish)
  const [licence, notice] = ['LICENSE', 'NOTICE'].map((name) => product.files.get(name)!.bytes)
  add('usr/share/doc/kt/kt.cdx.json.gz', gzip(billOfMaterials(product)))
  if (packager === 'rpm') {
    add('usr/share/licenses/kt/LICENSE', licence)
    add('usr/share/licenses/kt/NOTICE', notice)
    return { files, links }
  }
  add('usr/share/doc/kt/copyright', copyright(notice))
  add('usr/share/doc/kt/changelog.gz', gzip(Buffer.from(changelog(product))))
  add('usr/share/lintian/overrides/kt', readFileSync(join(place, 'lintian-overrides')))
  return { files, links }
}

/** Debian has the terms of the Apache licence in every system, and wants no second copy. */
function copyright(notice: Buffer): string {
  return `Copyright (C) 2026 the kt authors

kt is licensed under the Apache License, Version 2.0. On Debian systems its text is in
/usr/share/common-licenses/Apache-2.0.

The rest of this file are the terms of what the program contains.

${notice}`
}

function changelog({ version, commit, time }: Product): string {
  const date = new Date(time * 1000).toUTCString().replace('GMT', '+0000')
  return `kt (${version}) unstable; urgency=medium

  * Made of the commit ${commit}.

 -- ${MAINTAINER}  ${date}
`
}
