// Completion: what is offered at each place of a command line, and the three shells' scripts in the shells themselves.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, test } from 'node:test'
import { Command } from 'commander'
import { cidrs, oneOf } from '../../src/cli/commands/common.ts'
import { complete } from '../../src/cli/completion/complete.ts'
import { scripts } from '../../src/cli/completion/scripts.ts'
import { missing } from '../support/programs.ts'

function program(): Command {
  const kt = new Command('kt').option('--profile <name>')
  kt.command('up')
    .alias('connect')
    .description('connects')
    .option('-n, --namespace <name>')
    .option('--kubeconfig <file>')
    .option('--dns <mode>', 'mode', oneOf('auto', 'none'))
    .option('--exclude <cidr>', 'range (repeatable)', cidrs)
    .option('--foreground')
  const dns = kt.command('dns')
  dns.command('status')
  dns.command('query').argument('<name>').argument('[type]').option('-n, --namespace <name>')
  kt.command('exchange').argument('<target>')
  kt.command('secret', { hidden: true })
  kt.helpCommand(false)
  dns.helpCommand(false)
  return kt
}

/** `kt up --d|` as a line, the cursor at its end. */
function offered(line: string): string[] {
  const words = line.split(' ')
  const { candidates, live } = complete(program(), words)
  return [...candidates.map(({ value }) => value), ...(live ? [`<${live}>`] : [])]
}

test('each place of a command line', () => {
  assert.deepEqual(offered(''), ['up', 'dns', 'exchange'])
  assert.deepEqual(offered('u'), ['up'])
  assert.deepEqual(offered('se'), [], 'hidden commands are not offered')
  assert.deepEqual(offered('dns '), ['status', 'query'])
  assert.deepEqual(offered('up --d'), ['--dns'])
  assert.deepEqual(offered('connect --fo'), ['--foreground'], 'by an alias')
  assert.deepEqual(offered('up --dns '), ['auto', 'none'])
  assert.deepEqual(offered('up --dns a'), ['auto'])
  assert.deepEqual(offered('up --dns=n'), ['--dns=none'])
  assert.deepEqual(offered('up --dns = n'), ['--dns=none'], 'as bash cuts it')
  assert.deepEqual(offered('up --dns ='), ['--dns=auto', '--dns=none'])
  assert.deepEqual(offered('up --dns none --d'), [], 'a flag that was given')
  assert.deepEqual(offered('up --exclude 10.0.0.0/8 --e'), ['--exclude'], 'one that may be repeated')
  assert.deepEqual(offered('up -n '), ['<namespaces>'])
  assert.deepEqual(offered('up --namespace=s'), ['<namespaces>'])
  assert.deepEqual(offered('up --kubeconfig '), ['<files>'])
  assert.deepEqual(offered('--profile x u'), ['up'], "the program's own flags before the command")
  assert.deepEqual(offered('dns query '), ['<services>'])
  assert.deepEqual(offered('dns query web A'), ['A', 'AAAA'])
  assert.deepEqual(offered('dns query -n shop w'), ['<services>'])
  assert.deepEqual(offered('exchange '), ['<targets>'])
  assert.deepEqual(offered('exchange -- --'), ['<targets>'], 'after -- there are no flags')
  assert.deepEqual(offered('nonsense x'), [])
  assert.deepEqual(complete(program(), ['dns', 'query', '-n', 'shop', 'w']).given, { namespace: 'shop' })
})

const bin = mkdtempSync(join(tmpdir(), 'kt-completion-'))
after(() => rmSync(bin, { recursive: true }))
symlinkSync(resolve('bin/kt'), join(bin, 'kt'))
const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}`, HOME: bin, KUBECONFIG: join(bin, 'none') }

test('kt __complete says nothing of errors', () => {
  const { status, stdout, stderr } = spawnSync('kt', ['__complete', '--', 'up', '-n', ''], { encoding: 'utf8', env })
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' })
})

test('bash', { skip: missing('bash') }, () => {
  const reply = (...words: string[]) => {
    const script = `${scripts.bash}
compopt() { :; }
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_kt; printf '%s\\n' "\${COMPREPLY[@]}"`
    return execFileSync('bash', ['-c', script], { encoding: 'utf8', env, cwd: bin }).trim().split('\n')
  }
  assert.deepEqual(reply('kt', 'up', '--dns', ''), ['auto', 'resolved', 'resolvconf', 'none'])
  assert.deepEqual(reply('kt', 'up', '--dns', '=', 'n'), ['none'])
  assert.deepEqual(reply('kt', 'up', '--dns', '='), ['auto', 'resolved', 'resolvconf', 'none'])
  writeFileSync(join(bin, 'a file'), '')
  assert.deepEqual(reply('kt', 'up', '--kubeconfig', 'a'), ['a file'])
})

test('zsh', { skip: missing('zsh') }, () => {
  const script = `compdef() { :; }
${scripts.zsh}
_describe() { print -l -- "\${(@P)2}"; }
_files() { print files; }
words=(kt up --dns ''); CURRENT=4; _kt
words=(kt up --kubeconfig ''); CURRENT=4; _kt`
  const output = execFileSync('zsh', ['-f', '-c', script], { encoding: 'utf8', env })
  assert.deepEqual(output.trim().split('\n'), ['auto:', 'resolved:', 'resolvconf:', 'none:', 'files'])
})

test('fish', { skip: missing('fish') }, () => {
  const ask = (line: string) =>
    execFileSync('fish', ['--no-config', '-c', `${scripts.fish}\ncomplete -C '${line}'`], { encoding: 'utf8', env })
      .trim()
      .split('\n')
      .map((each) => each.split('\t')[0])
  assert.deepEqual(ask('kt up --dns '), ['auto', 'resolved', 'resolvconf', 'none'])
  assert.deepEqual(ask('kt dns q'), ['query'])
})
