import manifest from '../../package.json' with { type: 'json' }

/** Of this kt. */
export const VERSION: string = manifest.version
