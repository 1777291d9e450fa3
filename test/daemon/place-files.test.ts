import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, describe, test } from 'node:test'
import fc from 'fast-check'
import { clusterError } from '../../src/cluster/errors.ts'
import type { Place, PlacedFile, PlaceRequest } from '../../src/cluster/place-calls.ts'
import { prepareFolder } from '../../src/daemon/place/chosen-folder.ts'
import { makePrivateFolder, removeLeftFolders } from '../../src/daemon/place/folder.ts'
import { PlaceFiles } from '../../src/daemon/place/place-files.ts'
import { TarExtractor } from '../../src/daemon/place/tar.ts'
import { writePart, writeVolume } from '../../src/daemon/place/volume-writer.ts'
import { VirtualTime } from '../support/virtual-time.ts'

const base = mkdtempSync(join(tmpdir(), 'kt-place-files-'))
after(() => rmSync(base, { recursive: true, force: true }))
let folder = ''
let count = 0
beforeEach(() => {
  folder = join(base, `case-${++count}`)
  mkdirSync(folder)
})

const file = (path: string, text: string, mode = 0o644): PlacedFile => ({
  path,
  data: Buffer.from(text).toString('base64'),
  mode,
})
const NOW = new Date('2026-01-02T03:04:05.678Z')

describe('a volume that the kubelet keeps', () => {
  test('names lead to the state, and a change is one switch of a link', () => {
    const place = join(folder, 'v')
    assert.equal(writeVolume(place, [file('a', '1', 0o400), file('deep/er/b', '2')], NOW), true)
    assert.equal(readlinkSync(join(place, 'a')), '..data/a')
    assert.equal(readlinkSync(join(place, 'deep')), '..data/deep')
    assert.equal(readFileSync(join(place, 'deep/er/b'), 'utf8'), '2')
    assert.equal(statSync(join(place, 'a')).mode & 0o777, 0o400)
    const before = readlinkSync(join(place, '..data'))
    assert.match(before, /^\.\.2026_01_02_03_04_05\.678\./)

    assert.equal(writeVolume(place, [file('a', '1', 0o400), file('deep/er/b', '2')], NOW), false, 'nothing has changed')
    assert.equal(readlinkSync(join(place, '..data')), before)

    assert.equal(writeVolume(place, [file('a', 'new', 0o400)], NOW), true)
    assert.equal(readFileSync(join(place, 'a'), 'utf8'), 'new')
    assert.ok(!existsSync(join(place, 'deep')))
    assert.ok(!existsSync(join(place, before)), 'the state before is removed')
    assert.equal(writeVolume(place, [file('a', 'new', 0o440)], NOW), true, 'a mode has changed')
  })

  test('a token that was not asked for again stays', () => {
    const place = join(folder, 'v')
    writeVolume(place, [file('token', 'secret', 0o600), file('ca', 'x')], NOW)
    writeVolume(place, [{ ...file('token', '', 0o600), stays: true }, file('ca', 'y')], NOW)
    assert.equal(readFileSync(join(place, 'token'), 'utf8'), 'secret')
    assert.equal(readFileSync(join(place, 'ca'), 'utf8'), 'y')
  })

  test('what is mounted inside of it stays', () => {
    const place = join(folder, 'v')
    writeVolume(place, [file('inner', 'a file of that name'), file('a', '1')], NOW)
    rmSync(join(place, 'inner'))
    writePart(join(place, 'inner'), [file('x', 'y')])
    writeVolume(place, [file('inner', 'a file of that name'), file('a', '2')], NOW)
    assert.equal(readFileSync(join(place, 'inner/x'), 'utf8'), 'y')
  })

  test('a part is a file, or a folder', () => {
    writePart(join(folder, 'one'), [file('', 'text', 0o440)])
    assert.equal(readFileSync(join(folder, 'one'), 'utf8'), 'text')
    assert.equal(statSync(join(folder, 'one')).mode & 0o777, 0o440)
    writePart(join(folder, 'none'), [])
    assert.deepEqual(readdirSync(join(folder, 'none')), [])
  })
})

describe('an archive from a pod', () => {
  const extract = (bytes: Buffer, limit = 1e6, piece = bytes.length, skip?: (path: string) => boolean) => {
    const to = join(folder, 'to')
    mkdirSync(to, { recursive: true })
    const tar = new TarExtractor(to, { bytes: limit }, skip)
    try {
      for (let at = 0; at < bytes.length; at += piece) tar.push(bytes.subarray(at, at + piece))
      tar.finish()
    } finally {
      tar.abandon()
    }
    return { to, leftOut: tar.leftOut }
  }
  const archive = (from: string, ...flags: string[]) => execFileSync('tar', [...flags, '-cf', '-', '-C', from, '.'])

  test('files, folders, links and long names come as they are, in pieces of any size', () => {
    const from = join(folder, 'from')
    mkdirSync(join(from, 'a/b'), { recursive: true })
    writeFileSync(join(from, 'a/b/c'), 'x'.repeat(1500), { mode: 0o640 })
    writeFileSync(join(from, `${'long'.repeat(40)}`), 'long')
    writeFileSync(join(from, 'ünïcode'), '')
    execFileSync('ln', [join(from, 'a/b/c'), join(from, 'again')])
    symlinkSync('a/b/c', join(from, 'link'))
    for (const format of ['gnu', 'pax', 'ustar'])
      for (const piece of [1, 100, 512, 10_000]) {
        rmSync(join(folder, 'to'), { recursive: true, force: true })
        if (format === 'ustar') rmSync(join(from, 'long'.repeat(40)), { force: true })
        const { to, leftOut } = extract(archive(from, `--format=${format}`), 1e6, piece)
        assert.equal(leftOut, 0)
        const list = (root: string) =>
          execFileSync('sh', ['-c', 'cd "$1" && find . | sort && cat a/b/c again', 'sh', root], { encoding: 'utf8' })
        assert.equal(list(to), list(from), `${format}, ${piece}`)
        assert.equal(readlinkSync(join(to, 'link')), 'a/b/c')
        assert.equal(statSync(join(to, 'a/b/c')).mode & 0o777, 0o640)
      }
  })

  test('no name leaves the folder, and links that could lead out, devices and pipes are left out', () => {
    const outside = join(folder, 'outside')
    writeFileSync(outside, 'safe')
    const bytes = Buffer.concat([
      header('../outside', '0', 4),
      block('evil'),
      header('/outside', '0', 4),
      block('evil'),
      header('a/../../outside', '0', 4),
      block('evil'),
      header('up', '2', 0, '..'),
      header('abs', '2', 0, '/etc'),
      header('in/direct', '2', 0, 'x/../../..'),
      header('up/outside', '0', 4),
      block('evil'),
      header('hard', '1', 0, '../outside'),
      header('pipe', '6', 0),
      header('device', '3', 0),
      header('good', '0', 4),
      block('good'),
      Buffer.alloc(1024),
    ])
    const { to, leftOut } = extract(bytes)
    assert.equal(leftOut, 9)
    assert.equal(readFileSync(outside, 'utf8'), 'safe')
    assert.deepEqual(readdirSync(to).sort(), ['good', 'up'])
    assert.ok(lstatSync(join(to, 'up')).isDirectory(), 'made for a file, not by the link')
    assert.ok(!existsSync('/outside'))
  })

  test('a link is never written through', () => {
    const bytes = Buffer.concat([
      header('link', '2', 0, 'inner'),
      header('link/file', '0', 4),
      block('text'),
      Buffer.alloc(1024),
    ])
    const { to, leftOut } = extract(bytes)
    assert.equal(readFileSync(join(to, 'link/file'), 'utf8'), 'text')
    assert.ok(!existsSync(join(to, 'inner')))
    assert.equal(leftOut, 1)
  })

  test('sizes have a limit, also those of files that are named again', () => {
    const big = Buffer.concat([header('a', '0', 900), Buffer.alloc(1024), header('b', '1', 0, 'a'), Buffer.alloc(1024)])
    assert.throws(() => extract(big, 800), /more than the limit/)
    assert.throws(() => extract(big, 1000), /more than the limit/)
    extract(big, 1800)
  })

  test('what is no archive, or is cut off, is told, and nothing else happens', () => {
    assert.throws(() => extract(Buffer.from('x'.repeat(512))), /no tar archive/)
    assert.throws(() => extract(Buffer.concat([header('a', '0', 600), Buffer.alloc(512)])), /cut off/)
    const from = join(folder, 'from')
    mkdirSync(from)
    writeFileSync(join(from, 'a'), 'text')
    const good = archive(from, '--format=pax')
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (at, byte) => {
        const bad = Buffer.from(good)
        bad[at] = byte
        try {
          extract(bad)
        } catch (error) {
          assert.equal((error as Error).constructor.name, 'TarError')
        }
      }),
      { numRuns: 300 },
    )
  })

  test('what is not wanted is not written', () => {
    const bytes = Buffer.concat([
      header('./a', '0', 1),
      block('1'),
      header('./b', '0', 1),
      block('2'),
      Buffer.alloc(1024),
    ])
    assert.deepEqual(readdirSync(extract(bytes, 10, 512, (path) => path === 'b').to), ['a'])
  })
})

/** A header of a ustar archive. */
function header(name: string, type: string, size: number, link = ''): Buffer {
  const bytes = Buffer.alloc(512)
  bytes.write(name, 0)
  bytes.write('0000644\0', 100)
  bytes.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  bytes.write('        ', 148)
  bytes.write(type, 156)
  bytes.write(link, 157)
  bytes.write('ustar\0', 257)
  const sum = bytes.reduce((a, b) => a + b, 0)
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return bytes
}

function block(text: string): Buffer {
  const bytes = Buffer.alloc(512)
  bytes.write(text)
  return bytes
}

describe('folders', () => {
  test("a private one is this user's alone, and goes with what a dead process has left", () => {
    const env = { XDG_RUNTIME_DIR: folder }
    const { path } = makePrivateFolder(env)
    assert.equal(statSync(path).mode & 0o777, 0o700)
    assert.equal(statSync(join(folder, 'kt')).mode & 0o777, 0o700)
    // No process has a number beyond the kernel's limit of 2^22.
    const dead = join(folder, 'kt', `files-${2 ** 22 + 1}-abc`)
    mkdirSync(join(dead, 'etc'), { recursive: true })
    assert.deepEqual(removeLeftFolders(env), [dead])
    assert.ok(existsSync(path))
    rmSync(path, { recursive: true })
  })

  test('one that others can read is not used', () => {
    mkdirSync(join(folder, 'kt'), { mode: 0o755 })
    const { path } = makePrivateFolder({ XDG_RUNTIME_DIR: folder })
    assert.ok(!path.startsWith(folder), path)
    rmSync(path, { recursive: true })
  })

  test("a person's folder is taken when it is new, empty, or was kt's", () => {
    const mine = join(folder, 'new')
    prepareFolder(mine)
    assert.equal(statSync(mine).mode & 0o777, 0o700)
    prepareFolder(mine)
    const full = join(folder, 'full')
    mkdirSync(full)
    writeFileSync(join(full, 'thesis.txt'), '')
    assert.throws(() => prepareFolder(full), /holds files that kt has not made/)
    assert.throws(() => prepareFolder(join(full, 'thesis.txt')), /cannot be used|not/)
  })
})

describe('files of a place', () => {
  const place = (more: Partial<Place> = {}): Place => ({
    namespace: 'shop',
    pod: 'p-1',
    running: true,
    container: 'c',
    containers: ['c'],
    sharedProcesses: false,
    variables: [],
    missing: [],
    mounts: [],
    missingFiles: [],
    tokenMs: null,
    ports: [],
    ...more,
  })
  const mount = (files: PlacedFile[], path = '/etc/app'): Place['mounts'][number] => ({
    path,
    volume: 'v',
    readOnly: true,
    content: { kind: 'files', files },
  })

  /** `answers` are given in turn; the last one for ever. */
  function started(answers: (Place | Error)[]) {
    const time = new VirtualTime()
    const asked: PlaceRequest[] = []
    const closing = new AbortController()
    const log: string[] = []
    const cluster = {
      readPlace: async (request: PlaceRequest) => {
        const answer = answers.length > 1 ? answers.shift()! : answers[0]
        asked.push(request)
        if (answer instanceof Error) throw answer
        return answer
      },
      podExec: async () => assert.fail('nothing is to be run'),
    }
    const effects = {
      cluster,
      run: async () => ({ code: 0, words: '' }),
      clock: time,
      wall: () => NOW.getTime(),
      log: (line: string) => void log.push(line),
      closing: closing.signal,
    }
    const files = new PlaceFiles(effects, { target: 'orders', serviceLinks: false }, folder)
    return { files, time, asked, closing, log }
  }

  test('the next looks are at the same container, which a pod alone does not name', async () => {
    const { files, time, asked, closing } = started([place({ pod: 'orders-1', container: 'app' })])
    await files.write(1)
    void files.keep()
    await time.run(10_000)
    assert.deepEqual(
      asked.map(({ target, container }) => [target, container]),
      [
        ['orders', undefined],
        ['pod/orders-1', 'app'],
      ],
    )
    closing.abort()
  })

  test('a change in the cluster is here at the next look, and a failed look changes nothing', async () => {
    const { files, time, closing, log } = started([
      place({ mounts: [mount([file('a', '1')])] }),
      clusterError('unreachable', 'away'),
      place({ mounts: [mount([])], missingFiles: [{ name: '/etc/app: ConfigMap m', why: 'you may not' }] }),
      place({ mounts: [mount([file('a', '2')])] }),
    ])
    await files.write(1)
    void files.keep()
    const text = () => readFileSync(join(folder, 'etc/app/a'), 'utf8')
    assert.equal(text(), '1')
    await time.run(10_000)
    assert.equal(text(), '1', 'away')
    await time.run(10_000)
    assert.equal(text(), '1', 'refused')
    await time.run(10_000)
    assert.equal(text(), '2')
    assert.deepEqual(log, ['files: /etc/app written', 'files: away', 'files: /etc/app changed'])
    closing.abort()
  })

  test('a token is renewed when four fifths of its life are over, and not before', async () => {
    const { files, time, asked, closing } = started([
      place({ tokenMs: 100_000, mounts: [mount([file('token', 't')])] }),
    ])
    await files.write(1)
    void files.keep()
    await time.run(70_000)
    assert.deepEqual(
      asked.map(({ tokens }) => tokens),
      [true, ...Array(7).fill(false)],
    )
    await time.run(10_000)
    assert.equal(asked.at(-1)!.tokens, true)
    await time.run(10_000)
    assert.equal(asked.at(-1)!.tokens, false)
    closing.abort()
  })

  test('the same pod is asked for while it is there; another gets tokens of its own', async () => {
    const { files, time, asked, closing } = started([
      place({ tokenMs: 3_600_000 }),
      place(),
      clusterError('target-unknown', 'gone'),
      place({ pod: 'p-2', tokenMs: 3_600_000 }),
      place({ pod: 'p-2' }),
    ])
    await files.write(1)
    void files.keep()
    await time.run(30_000)
    assert.deepEqual(
      asked.map(({ target, tokens }) => [target, tokens]),
      [
        ['orders', true],
        ['pod/p-1', false],
        ['pod/p-1', false],
        ['orders', true],
        ['pod/p-2', false],
      ],
    )
    closing.abort()
  })

  test('what cannot be written is named, and the rest is there', async () => {
    const { files } = started([
      place({ mounts: [mount([file('x', '1')], '/a'), mount([file('y', '2')], '/a/x/deeper')] }),
    ])
    const { missing } = await files.write(1)
    assert.equal(readFileSync(join(folder, 'a/x'), 'utf8'), '1')
    assert.deepEqual(
      missing.map(({ name }) => name),
      ['/a/x/deeper'],
    )
  })
})
