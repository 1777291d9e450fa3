// People come from other tools and type those tools' commands: the error names what kt calls it.

const USUAL = '`kt --help` and `kt COMMAND --help` list what there is'

/** The hint where `command`, such as `dns query`, was called wrongly; '' is kt itself. */
const usual = (command: string) => (command === '' ? USUAL : `\`kt ${command} --help\` shows what it takes`)

// From telepresence, mirrord, kubevpn, ktctl and kubectl.
const commands: Record<string, string> = {
  intercept: '`kt exchange TARGET --expose LOCAL:REMOTE` brings a Service here; `kt mesh` only one version of it',
  replace: '`kt exchange TARGET --expose LOCAL:REMOTE` brings a Service here',
  wiretap: '`kt mesh TARGET --expose LOCAL:REMOTE` brings one version of a Service here',
  ingest: '`kt exchange TARGET --expose LOCAL:REMOTE` brings a Service here',
  quit: '`kt down` disconnects, `kt leave TARGET` ends an exchange',
  disconnect: '`kt down` disconnects',
  stop: '`kt down` disconnects, `kt leave TARGET` ends an exchange',
  uninstall: '`kt clean` removes what dead clients left; kt installs nothing else in the cluster',
  reset: '`kt recover TARGET` puts a Service back, `kt clean` removes what dead clients left',
  exec: "`kt shell -- CMD` runs one program with the cluster's network",
  'port-forward': '`kt forward TARGET LOCAL[:REMOTE]` forwards one port',
  loglevel: 'set KT_LOG=debug in the environment of `kt up`',
  'gather-logs': '`kt logs` prints the log',
  birdseye: '`kt status` and `kt dashboard` show who is connected',
}

/** The second line of an error about the command line. `text`: what commander says; `called`: of which command of kt. */
export function hintFor(text: string, called = ''): string {
  const [, command] = /unknown command '([^']*)'/.exec(text) ?? []
  return command !== undefined && Object.hasOwn(commands, command) ? commands[command] : usual(called)
}
