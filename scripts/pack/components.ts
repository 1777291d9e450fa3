// The packages in the bundles: names, versions, licences and their terms, from node_modules and package-lock.json.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Component {
  name: string
  version: string
  /** SPDX expression. */
  licence: string
  /** The terms, whole. */
  terms: string
  /** Subresource integrity of the package as npm has it. */
  integrity: string
}

/** Of these packages. Throws Error for one without a licence, which could not be passed on. */
export function componentsOf(names: readonly string[]): Component[] {
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { integrity?: string }>
  }
  return names.map((name) => {
    const folder = `node_modules/${name}`
    const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
      version: string
      license?: string | { type: string }
    }
    const licence = typeof license === 'object' ? license.type : license
    const files = readdirSync(folder).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
    const terms = files.map((file) => readFileSync(join(folder, file), 'utf8').trim()).join('\n\n')
    const known = licence ?? (/Permission is hereby granted, free of charge/.test(terms) ? 'MIT' : undefined)
    if (!known) throw new Error(`the package ${name} says nothing of its licence`)
    return { name, version, licence: known, terms, integrity: lock.packages[folder]?.integrity ?? '' }
  })
}

/** Something in kt that is no npm package of its bundles. */
export interface Part {
  title: string
  /** The terms, whole. */
  terms: string
}

/** What has to go along with kt. */
export function notice(components: readonly Component[], others: readonly Part[]): string {
  const own = existsSync('NOTICE')
    ? readFileSync('NOTICE', 'utf8').trim()
    : 'kt\nLicensed under the Apache License 2.0, see LICENSE.'
  const parts = [
    ...components.map(({ name, version, licence, terms }) => ({
      title: `${name} ${version} (${licence})`,
      terms: terms || `Licensed under ${licence}.`,
    })),
    ...others,
  ].map(({ title, terms }) => `${title}\n\n${terms}`)
  return `${[`${own}\n\nkt contains these packages:`, ...parts].join(`\n\n${'-'.repeat(76)}\n\n`)}\n`
}
