// `kt help TOPIC`: short texts for a terminal of 80 columns.
import { configuration } from './configuration.ts'
import { connect } from './connect.ts'
import { dns } from './dns.ts'
import { environment } from './environment.ts'
import { exchange } from './exchange.ts'
import { mesh } from './mesh.ts'
import { rights } from './rights.ts'
import { troubleshooting } from './troubleshooting.ts'

/** By name; the first line of each is its title. */
export const topics: Readonly<Record<string, string>> = {
  connect,
  dns,
  exchange,
  mesh,
  config: configuration,
  environment,
  rights,
  troubleshooting,
}

export const topicNames: readonly string[] = Object.keys(topics)
