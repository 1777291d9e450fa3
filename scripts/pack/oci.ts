// An image as the OCI image layout in one tar archive, made without Docker: blobs by their digest, for several architectures.
// https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
import { type Files, gzip, tar } from './archive.ts'
import { sha256 } from './product.ts'

const INDEX = 'application/vnd.oci.image.index.v1+json'
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const CONFIG = 'application/vnd.oci.image.config.v1+json'
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'

export interface Layer {
  /** An uncompressed tar archive. */
  tar: Buffer
  /** What it is, for the image's history. */
  about: string
}

export interface PlatformImage {
  /** As Go names it: `amd64`. */
  architecture: string
  layers: readonly Layer[]
}

export interface ImageOptions {
  /** `NAME:TAG` under which it is known where it is imported. */
  name: string
  /** Seconds since 1970. */
  time: number
  /** `org.opencontainers.image.…` and others. */
  labels: Record<string, string>
  /** The configuration's `config`: user, entry point, environment. */
  config: Record<string, unknown>
}

interface Descriptor {
  mediaType: string
  digest: string
  size: number
  platform?: { architecture: string; os: 'linux' }
  annotations?: Record<string, string>
}

/** The archive. `created` of the image is `time`, and nothing else in it is of a time or a machine. */
export function ociArchive(platforms: readonly PlatformImage[], options: ImageOptions): Buffer {
  const { name, time, labels, config } = options
  const created = new Date(time * 1000).toISOString()
  const files: Files = new Map()
  const blob = (mediaType: string, bytes: Buffer): Descriptor => {
    const digest = sha256(bytes)
    files.set(`blobs/sha256/${digest}`, { bytes, mode: 0o644 })
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length }
  }
  const json = (mediaType: string, value: unknown) => blob(mediaType, Buffer.from(JSON.stringify(value)))
  const manifests = platforms.map(({ architecture, layers }) => {
    const image = {
      created,
      architecture,
      os: 'linux',
      config: { ...config, Labels: labels },
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${sha256(layer.tar)}`) },
      history: layers.map(({ about }) => ({ created, created_by: about })),
    }
    const manifest = {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: json(CONFIG, image),
      layers: layers.map((layer) => blob(LAYER, gzip(layer.tar))),
      annotations: labels,
    }
    return { ...json(MANIFEST, manifest), platform: { architecture, os: 'linux' as const } }
  })
  const all = json(INDEX, { schemaVersion: 2, mediaType: INDEX, manifests, annotations: labels })
  const tag = name.slice(name.lastIndexOf(':') + 1)
  // The first is the specification's, the second is how containerd and Docker name what they import.
  all.annotations = { 'org.opencontainers.image.ref.name': tag, 'io.containerd.image.name': name }
  const top = { schemaVersion: 2, mediaType: INDEX, manifests: [all] }
  files.set('index.json', { bytes: Buffer.from(JSON.stringify(top)), mode: 0o644 })
  files.set('oci-layout', { bytes: Buffer.from('{"imageLayoutVersion":"1.0.0"}'), mode: 0o644 })
  return tar(files, { time })
}
