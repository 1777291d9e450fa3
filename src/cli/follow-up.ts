// Commands in hints must work exactly as printed: they get the flags by which this command chose its cluster. Pure.

export interface Chosen {
  namespace?: string
  context?: string
  kubeconfig?: string
}

// Those of kt that ask a cluster, and those of kubectl that ask a namespace.
const ASKS_CLUSTER = /^(sudo )?kt (up|check|exchange|mesh|run|forward|shell|env|files|leave|recover|clean)\b/
const KUBECTL = /^kubectl /
const KUBECTL_WITHOUT_NAMESPACE = /^kubectl (version|config|cluster-info)\b/

/** Completes each command in backquotes that has a target or stands alone, and leaves words like `kt COMMAND` as they are. */
export function withChosen(hint: string, { namespace, context, kubeconfig }: Chosen): string {
  return hint.replace(/`([^`]+)`/g, (whole, command: string) => {
    const kubectl = KUBECTL.test(command)
    if (!kubectl && !ASKS_CLUSTER.test(command)) return whole
    if (/ --help$/.test(command)) return whole
    const lacks = (...flags: string[]) => !flags.some((flag) => ` ${command} `.includes(` ${flag} `))
    const more = [
      namespace && lacks('-n', '--namespace') && !KUBECTL_WITHOUT_NAMESPACE.test(command) && `-n ${word(namespace)}`,
      context && lacks('--context') && `--context ${word(context)}`,
      kubeconfig && lacks('--kubeconfig') && `--kubeconfig ${word(kubeconfig)}`,
    ].filter((one) => typeof one === 'string' && one !== '')
    if (more.length === 0) return whole
    // What follows -- is another program's.
    const [own, ...rest] = command.split(' -- ')
    return `\`${[[own, ...more].join(' '), ...rest].join(' -- ')}\``
  })
}

/** As a shell reads it as one word. */
export function word(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
