// An engine for tests of the helper: does what the configuration line, a JSON list, tells it, step by step, and says how
// it went in `progress` lines.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { attachTun } from '../../src/tun/native.ts'

type Command =
  | { request: object }
  | { say: object }
  | { who: true }
  | { exit: number }
  | { attach: true }
  | { crash: true }
  | { stay: true }
  | { deaf: true }

let config: Command[] | undefined
let deaf = false
const answers = new Map<number, (answer: unknown) => void>()

process.on('message', (message: { event?: string; line?: string; id?: number }) => {
  if (message.event === 'config') {
    config = JSON.parse(message.line!) as Command[]
    void run(config)
  } else if (message.event === 'terminate') {
    say({ type: 'progress', got: message })
    if (!deaf) setTimeout(() => process.exit(0), 20)
  } else if (message.event) say({ type: 'progress', got: message })
  else answers.get(message.id!)?.(message)
})
process.on('disconnect', () => process.exit(3))

function say(line: object): void {
  if (process.connected) process.send!(line)
}

function canBecomeRoot(): boolean {
  try {
    process.setuid!(0)
    return true
  } catch {
    return false
  }
}

async function run(commands: Command[]): Promise<void> {
  let id = 0
  for (const command of commands) {
    if ('request' in command) {
      const mine = ++id
      const answer = new Promise((resolve) => answers.set(mine, resolve))
      process.send!({ id: mine, ...command.request })
      say({ type: 'progress', answer: await answer })
    } else if ('say' in command) say(command.say)
    else if ('who' in command) {
      say({
        type: 'progress',
        pid: process.pid,
        uid: process.getuid!(),
        euid: process.geteuid!(),
        gid: process.getgid!(),
        groups: execFileSync('id', ['-G'], { encoding: 'utf8' }).trim(),
        capabilities: /CapEff:\s*(\S+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1],
        root: process.getuid!() !== 0 && canBecomeRoot(),
        env: process.env,
      })
    } else if ('attach' in command) {
      const tun = attachTun(3)
      tun.start(
        () => {},
        () => {},
      )
      say({ type: 'progress', tun: tun.name, offload: tun.offload })
    } else if ('exit' in command) process.exit(command.exit)
    else if ('crash' in command) throw new Error('fell over')
    else if ('deaf' in command) deaf = true
  }
}
