// The ways to install kt, as a user types them: what `./dev bench ways` runs and records.
import { spawnSync } from 'node:child_process'

export interface Way {
  name: string
  /** Which files of out/ the user has. */
  files: RegExp
  /** Until the page is there. */
  steps: string[]
  /** What ends the session. */
  after: string[]
  /** The user also has Node's archive, `node.tar.gz`. */
  node?: boolean
  /** There is an ordinary user `dev`. */
  user?: boolean
  /** systemd is the first process. */
  systemd?: boolean
  /** Programs of this machine that the user has, by name. */
  programs?: Record<string, string>
  /** Why it cannot be tried on this machine. */
  lacks?(): string | false
}

const PAGE = 'curl -s http://web.shop/'
const NODE = 'mkdir -p /opt/node && tar -xf node.tar.gz -C /opt/node'
const ARCH =
  process.arch === 'x64'
    ? { node: 'x64', deb: 'amd64', rpm: 'x86_64' }
    : { node: 'arm64', deb: 'arm64', rpm: 'aarch64' }

/** Where a program of this machine is. */
function find(name: string): string {
  return spawnSync('sh', ['-c', `readlink -f "$(command -v ${name})"`], { encoding: 'utf8' }).stdout.trim()
}

const kubectl = find('kubectl')
const krew = process.env['KT_KREW'] ?? find('kubectl-krew')

export const WAYS: Way[] = [
  {
    name: 'single file',
    files: new RegExp(`^kt-linux-${ARCH.node}$`),
    steps: [`install -m 755 kt-linux-${ARCH.node} /usr/local/bin/kt`, 'kt up -n shop', PAGE],
    after: ['kt down'],
  },
  {
    name: 'Debian package',
    files: new RegExp(`_${ARCH.deb}\\.deb$`),
    systemd: true,
    user: true,
    steps: [
      'apt-get install -y -qq ./kt_*.deb',
      'usermod --append --groups kt dev',
      "su - dev -c 'kt up -n shop'",
      `su - dev -c '${PAGE}'`,
    ],
    after: ["su - dev -c 'kt down'", 'apt-get purge -y -qq kt'],
  },
  {
    name: 'Fedora package, by the rpm of Debian',
    files: new RegExp(`${ARCH.rpm}\\.rpm$`),
    steps: ['rpm --install --nodeps --noscripts kt-*.rpm', 'kt up -n shop', PAGE],
    after: ['kt down', 'rpm --erase --noscripts kt'],
  },
  {
    name: 'npm',
    files: /^kt-[\d.]+\.tgz$/,
    node: true,
    steps: [NODE, 'npm install --global --no-fund --no-audit ./kt-*.tgz', 'kt up -n shop', PAGE],
    after: ['kt down'],
  },
  {
    name: 'npx',
    files: /^kt-[\d.]+\.tgz$/,
    node: true,
    steps: [NODE, 'npx --yes ./kt-*.tgz up -n shop', PAGE],
    after: ['npx --yes ./kt-*.tgz down'],
  },
  {
    name: 'krew',
    files: new RegExp(`^(cluster-vpn\\.yaml|kt-krew-linux-${ARCH.node}\\.tar\\.gz)$`),
    programs: { kubectl, 'kubectl-krew': krew },
    lacks: () => (!kubectl && 'there is no kubectl') || (!krew && 'there is no kubectl-krew (KT_KREW)'),
    steps: [
      `kubectl krew install --manifest=cluster-vpn.yaml --archive=kt-krew-linux-${ARCH.node}.tar.gz`,
      'kubectl cluster-vpn up -n shop',
      PAGE,
    ],
    after: ['kubectl cluster-vpn down'],
  },
]
