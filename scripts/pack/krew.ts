// kt as a plugin of kubectl: one archive for each architecture, and the manifest by which krew installs it.
import { dump } from 'js-yaml'
import { gzip, tar } from './archive.ts'
import { type Product, sha256 } from './product.ts'
import { singleFile } from './single.ts'
import { ARCHITECTURES, type Architecture } from './tools.ts'

/** `kubectl cluster-vpn`. krew wants a name that says what a plugin does, without `kube`. */
export const PLUGIN = 'cluster-vpn'

const goNames: Record<Architecture, string> = { x64: 'amd64', arm64: 'arm64' }

/** Where the files of a release are, without the version: KT_RELEASE_URL. The default is a place that cannot exist. */
const releases = () => (process.env['KT_RELEASE_URL'] || 'https://kt.invalid/releases').replace(/\/$/, '')

export async function krewPlugin(product: Product): Promise<Map<string, Buffer>> {
  const { version, files, time } = product
  const made = new Map<string, Buffer>()
  const platforms: unknown[] = []
  for (const arch of ARCHITECTURES) {
    const name = `kt-krew-linux-${arch}.tar.gz`
    const program = { bytes: await singleFile(product, arch), mode: 0o755 }
    const terms = ['LICENSE', 'NOTICE'].map((path) => [path, files.get(path)!] as const)
    const archive = gzip(tar(new Map([['kt', program], ...terms]), { time }))
    made.set(name, archive)
    platforms.push({
      selector: { matchLabels: { os: 'linux', arch: goNames[arch] } },
      uri: `${releases()}/v${version}/${name}`,
      sha256: sha256(archive),
      bin: 'kt',
    })
  }
  made.set(`${PLUGIN}.yaml`, Buffer.from(manifest(version, platforms)))
  return made
}

/** https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest */
function manifest(version: string, platforms: readonly unknown[]): string {
  const plugin = {
    apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
    kind: 'Plugin',
    metadata: { name: PLUGIN },
    spec: {
      version: `v${version}`,
      homepage: `${releases()}/v${version}`,
      // 50 characters at most, and no full stop.
      shortDescription: 'Join the network of a cluster from this machine',
      description: [
        'This machine gets the network of a Kubernetes cluster: addresses of pods and',
        'services, and their DNS names. Requests to a service of the cluster can be',
        'answered by a program on this machine. All of it is one program in user space:',
        '`kubectl cluster-vpn up` connects, and `kubectl cluster-vpn proxy` does so for',
        'programs that use a proxy, without root.',
        '',
      ].join('\n'),
      caveats: [
        'To connect needs root for the network device, for which kt asks sudo.',
        '`kubectl cluster-vpn check` says whether this machine and cluster are ready.',
        'Run `kubectl cluster-vpn down` before you uninstall the plugin.',
        '',
      ].join('\n'),
      platforms,
    },
  }
  return dump(plugin, { lineWidth: -1 })
}
