// Goes through a release, and stops before anything is sent: `./dev release VERSION`. Where a step fails, the checkout is as it
// was before. docs/contribute/release.md has the steps.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { changesOf, checkVersion, differences, ReleaseError, withVersion } from './preparation.ts'

const { version, tests, sign } = readArguments()
const head = git('rev-parse', 'HEAD')
let changed = false
try {
  step('the checkout', checkCheckout)
  const changes = step('version and change log', () => {
    const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    checkVersion(version, manifest.version)
    return changesOf(version, existsSync('CHANGELOG.md') ? readFileSync('CHANGELOG.md', 'utf8') : '')
  })
  step('version in package.json', commitVersion)
  step('./dev check', () => dev('check'))
  for (const suite of tests) step(`./dev test ${suite}`, () => dev('test', ...suite.split(' ').filter(Boolean)))
  step('./dev pack, twice', packTwice)
  step('provenance', checkProvenance)
  step(`tag v${version}`, () => {
    git('tag', sign ? '--sign' : '--annotate', `v${version}`, '--message', `kt ${version}\n\n${changes}`)
  })
  tellWhatIsLeft()
} catch (error) {
  if (!(error instanceof ReleaseError)) throw error
  if (changed) git('reset', '--quiet', '--keep', head)
  console.error(`release: ${error.message}\n         ${error.hint}`)
  console.error('release: nothing was sent, and the checkout is as it was')
  process.exit(1)
}

function readArguments(): { version: string; tests: string[]; sign: boolean } {
  const usage = 'usage: ./dev release VERSION [--tests SUITES]... [--without-tests] [--sign]'
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        tests: { type: 'string', multiple: true },
        'without-tests': { type: 'boolean' },
        sign: { type: 'boolean' },
      },
    })
    if (positionals.length !== 1) throw new Error('name one version')
    // All suites, and that of the packed forms, which runs only when it is named.
    const tests = values['without-tests'] ? [] : (values.tests ?? ['', 'pack'])
    return { version: positionals[0], tests, sign: values.sign === true }
  } catch (error) {
    console.error(`release: ${(error as Error).message}\n${usage}`)
    process.exit(2)
  }
}

function step<T>(name: string, run: () => T): T {
  console.log(`release: ${name}`)
  return run()
}

function git(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('git', args, { encoding: 'utf8' })
  if (status !== 0)
    throw new ReleaseError(`git ${args[0]}: ${stderr.trim() || `exit code ${status}`}`, 'mend this first')
  return stdout.trim()
}

/** One of the checkout's own commands; what it prints is shown. */
function dev(...args: string[]): void {
  const { status, signal } = spawnSync('./dev', args, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0)
    throw new ReleaseError(`./dev ${args.join(' ')} failed (${signal ?? `exit code ${status}`})`, 'its words are above')
}

function checkCheckout(): void {
  const dirty = git('status', '--porcelain')
  if (dirty)
    throw new ReleaseError(`the checkout has changes: ${dirty.split('\n')[0]}`, 'commit them, or put them away')
  if (git('tag', '--list', `v${version}`))
    throw new ReleaseError(`the tag v${version} exists`, `name another version, or \`git tag --delete v${version}\``)
}

function commitVersion(): void {
  for (const [file, lock] of [
    ['package.json', false],
    ['package-lock.json', true],
  ] as const)
    writeFileSync(file, withVersion(readFileSync(file, 'utf8'), version, lock))
  changed = true
  if (!git('status', '--porcelain')) return
  git('commit', '--quiet', '--all', '--message', `Release ${version}`)
}

function packTwice(): void {
  const sums = join('out', 'SHA256SUMS')
  const [first, second] = [1, 2].map(() => {
    dev('pack', '--strict')
    return readFileSync(sums, 'utf8')
  })
  const differ = differences(first, second)
  if (differ.length > 0)
    throw new ReleaseError(`two builds of one commit differ in ${differ.join(', ')}`, 'find what is in them by chance')
  const { status, stdout } = spawnSync('sha256sum', ['--check', 'SHA256SUMS'], { cwd: 'out', encoding: 'utf8' })
  if (status !== 0) throw new ReleaseError(`out/ is not as it was made: ${stdout.trim()}`, 'pack again')
}

function checkProvenance(): void {
  const { predicate } = JSON.parse(readFileSync(join('out', `kt-${version}.provenance.json`), 'utf8')) as {
    predicate: {
      buildDefinition: {
        resolvedDependencies: { digest: { gitCommit?: string }; annotations?: { changed?: string } }[]
      }
    }
  }
  const [source] = predicate.buildDefinition.resolvedDependencies
  const commit = git('rev-parse', 'HEAD')
  if (source.digest.gitCommit !== commit || source.annotations?.changed)
    throw new ReleaseError(
      `the provenance is not that of the commit ${commit}`,
      'nothing may change the checkout meanwhile',
    )
}

function tellWhatIsLeft(): void {
  const lines = readFileSync(join('out', 'SHA256SUMS'), 'utf8').trim().split('\n')
  const remote = git('remote').split('\n')[0] || 'REMOTE'
  const files = [...lines.map((line) => line.slice(66)), 'SHA256SUMS']
  console.log(`\nReleased here as v${version}, commit ${git('rev-parse', '--short', 'HEAD')}. To be sent:`)
  for (const file of files)
    console.log(`  ${(statSync(join('out', file)).size / 1e6).toFixed(2).padStart(8)} MB  out/${file}`)
  if (tests.length === 0) console.log('\nThe tests were not run.')
  console.log(`
Nothing was sent. To send it, in this order:
  gpg --armor --detach-sign out/SHA256SUMS
  git push ${remote} HEAD v${version}
  the files above, and SHA256SUMS.asc, to the place that KT_RELEASE_URL named, as v${version}/FILE
  npm publish out/kt-${version}.tgz
  skopeo copy --all oci-archive:out/kt-${version}-oci.tar docker://REGISTRY/kt:${version}
  out/cluster-vpn.yaml, to an index of krew
To take it back: git tag --delete v${version} && git reset --keep ${head.slice(0, 12)}`)
}
