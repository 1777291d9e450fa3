// The .deb and the .rpm: what is in them, manual pages that say all that the commands say, and scripts and units that are well
// formed. What happens when one is installed is test/cluster-real/package.test.ts.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, test } from 'node:test'
import type { Command } from 'commander'
import { manual } from '../../scripts/pack/man.ts'
import { commandLine } from '../../src/cli/command-line.ts'
import { topicNames } from '../../src/cli/topics/index.ts'
import { pack } from '../support/packed.ts'
import { missing } from '../support/programs.ts'

const folder = mkdtempSync(join(tmpdir(), 'kt-packages-'))
after(() => rmSync(folder, { recursive: true }))

const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'pipe'] })

describe('manual pages', () => {
  const { pages, aliases } = manual({ version: '1.2.3', time: 1_790_000_000 })
  const program = commandLine()
  const help = program.createHelp()
  /** As roff has it. */
  const written = (text: string) => text.replaceAll('-', '\\-')

  const hasAll = (page: string, command: Command) => {
    for (const { long, short } of help.visibleOptions(command))
      for (const flag of [long, short])
        if (flag) assert.ok(page.includes(`\\fB${written(flag)}\\fR`), `${command.name()} ${flag}`)
    for (const argument of command.registeredArguments.filter(({ description }) => description))
      assert.ok(page.includes(`.I ${written(help.argumentTerm(argument))}`), `${command.name()} ${argument.name()}`)
  }

  it('every command and every flag of it has a line', () => {
    const commands = help.visibleCommands(program)
    assert.ok(commands.length > 20)
    hasAll(pages.get('kt.1')!, program)
    for (const command of commands) {
      const page = pages.get(`kt-${command.name()}.1`)!
      assert.ok(pages.get('kt.1')!.includes(`.BR kt\\-${command.name()} (1)`), command.name())
      hasAll(page, command)
      for (const child of help.visibleCommands(command)) {
        if (child.name() === 'help') continue
        assert.ok(page.includes(`\nkt ${command.name()} ${child.name()} `), `${command.name()} ${child.name()}`)
        hasAll(page, child)
      }
      for (const alias of command.aliases()) assert.equal(aliases.get(`kt-${alias}.1`), `kt-${command.name()}.1`)
    }
    for (const topic of topicNames) assert.match(pages.get(`kt-${topic}.7`) ?? '', /^\.TH /, topic)
  })

  const all = join(folder, 'man')
  mkdirSync(all)
  for (const [name, text] of pages) writeFileSync(join(all, name), text)
  const files = [...pages.keys()].map((name) => join(all, name))

  it('mandoc finds nothing to complain about', { skip: missing('mandoc') }, () => {
    assert.equal(spawnSync('mandoc', ['-Tlint', '-Wwarning', ...files], { encoding: 'utf8' }).stdout, '')
  })

  it('groff neither', { skip: missing('groff') }, () => {
    const { status, stderr } = spawnSync('groff', ['-man', '-ww', '-z', '-Tutf8', ...files], { encoding: 'utf8' })
    assert.deepEqual([status, stderr], [0, ''])
  })

  it('what a terminal shows is the text of the commands', { skip: missing('man') }, () => {
    const env = { ...process.env, MANWIDTH: '200', MAN_KEEP_FORMATTING: '', LC_ALL: 'C.UTF-8' }
    const shown = execFileSync('man', ['-l', join(all, 'kt-up.1')], { encoding: 'utf8', env })
    assert.match(shown, /^ +--pod-resources <cpu=…,memory=…>$/m)
    assert.match(shown, /^ +The shadow's resources, requested and limited\.$/m)
  })
})

describe('packages', () => {
  let version = ''
  before(() => {
    pack('--if-changed')
    version = (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version
  })
  const deb = (arch: string) => `out/kt_${version}_${arch}.deb`
  const rpm = (arch: string) => `out/kt-${version}-1.${arch}.rpm`

  const shared = [
    '/usr/bin/kt',
    '/usr/lib/systemd/system/kt.socket',
    '/usr/lib/systemd/system/kt@.service',
    '/usr/share/bash-completion/completions/kt',
    '/usr/share/doc/kt/kt.cdx.json.gz',
    '/usr/share/fish/vendor_completions.d/kt.fish',
    '/usr/share/man/man1/kt-connect.1.gz',
    '/usr/share/man/man1/kt-up.1.gz',
    '/usr/share/man/man1/kt.1.gz',
    '/usr/share/man/man7/kt-rights.7.gz',
  ]

  for (const [arch, single] of [
    ['amd64', 'x64'],
    ['arm64', 'arm64'],
  ])
    it(`the .deb for ${arch} has the single file and what belongs to it`, { skip: missing('dpkg-deb') }, () => {
      const root = join(folder, arch)
      run('dpkg-deb', '--raw-extract', deb(arch), root)
      assert.deepEqual(readFileSync(join(root, 'usr/bin/kt')), readFileSync(`out/kt-linux-${single}`))
      const there = (readdirSync(root, { recursive: true }) as string[]).map((path) => `/${path}`)
      for (const path of [...shared, '/usr/share/zsh/vendor-completions/_kt', '/usr/share/doc/kt/copyright'])
        assert.ok(there.includes(path), path)
      // No program that takes its owner's rights, and nothing that only its owner may write to but shouldn't.
      for (const path of there) assert.equal(statSync(join(root, path)).mode & 0o6022, 0, path)
      const control = readFileSync(join(root, 'DEBIAN/control'), 'utf8')
      assert.match(control, new RegExp(`^Package: kt\nVersion: ${version}\n(.*\n)*Architecture: ${arch}\n`))
      assert.match(readFileSync(join(root, 'usr/share/doc/kt/copyright'), 'utf8'), /\nssh2 1\.17\.0 \(MIT\)\n/)
      for (const name of ['postinst', 'prerm', 'postrm']) run('sh', '-n', join(root, 'DEBIAN', name))
      if (single !== process.arch) return
      const kt = join(root, 'usr/bin/kt')
      assert.equal(run(kt, 'completion', 'bash'), readFileSync(join(root, shared[3]), 'utf8'))
      assert.equal(run(kt, 'completion', 'fish'), readFileSync(join(root, shared[5]), 'utf8'))
    })

  for (const arch of ['x86_64', 'aarch64'])
    it(`the .rpm for ${arch} is whole, and has the same`, { skip: missing('rpm') }, () => {
      assert.match(run('rpm', '--checksig', rpm(arch)), /: digests OK\n$/)
      assert.equal(
        run('rpm', '-qp', '--queryformat', '%{name} %{version} %{arch} %{license}', rpm(arch)),
        `kt ${version} ${arch} Apache-2.0`,
      )
      const there = run('rpm', '-qpl', rpm(arch)).split('\n')
      const folders = ['/usr/share/doc/kt', '/usr/share/licenses/kt'] // without these they would be left
      for (const path of [...shared, ...folders, '/usr/share/zsh/site-functions/_kt', '/usr/share/licenses/kt/NOTICE'])
        assert.ok(there.includes(path), path)
      assert.match(run('rpm', '-qp', '--requires', rpm(arch)), /^\/usr\/sbin\/ip$/m)
      for (const part of ['postin', 'preun', 'postun']) {
        const script = join(folder, `${arch}.${part}`)
        writeFileSync(script, run('rpm', '-qp', '--queryformat', `%{${part}}`, rpm(arch)))
        assert.match(readFileSync(script, 'utf8'), part === 'postin' ? /groupadd --system kt/ : /systemctl/)
        run('sh', '-n', script)
      }
    })

  test('systemd understands the units', { skip: missing('systemd-analyze') || missing('dpkg-deb') }, () => {
    const root = join(folder, 'units')
    run('dpkg-deb', '--extract', deb(process.arch === 'x64' ? 'amd64' : 'arm64'), root)
    mkdirSync(join(root, 'bin'))
    writeFileSync(join(root, 'bin/sh'), '', { mode: 0o755 })
    const units = ['kt.socket', 'kt@1.service'].map((name) => join('/usr/lib/systemd/system', name))
    const { stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', `--root=${root}`, ...units], {
      encoding: 'utf8',
    })
    assert.deepEqual(
      // The root has no other units that these could wait for.
      stderr.split('\n').filter((line) => /kt[@.]/.test(line) && !/Unit sysinit\.target not found/.test(line)),
      [],
    )
  })
})
