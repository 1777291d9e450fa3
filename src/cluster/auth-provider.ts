// `auth-provider` of a kubeconfig: how one logged in to clusters before there were plugins. client-go still has `oidc`;
// `gcp` and `azure` are in kubeconfigs of old clusters only.
import type { Time } from '../base/clock.ts'
import { PluginError, runCommand } from './command.ts'
import type { Environment } from './kubeconfig-file.ts'

type Config = Record<string, string>

/** The token it gives now. Rejects with Error, or PluginError for a command that failed. */
export async function tokenOfProvider(
  { name, config }: { name: string; config: Config },
  env: Environment,
  said: (line: string) => void,
  { clock, wall }: Time,
): Promise<string | undefined> {
  if (name === 'oidc') return oidcToken(config)
  if (name !== 'gcp' && name !== 'azure')
    throw new Error(`its auth-provider ${JSON.stringify(name)} is not known; known are oidc, gcp and azure`)
  const until = config['expiry'] ? Date.parse(config['expiry']) : Number(config['expires-on'] || 'NaN') * 1000
  if (config['access-token'] && !(until <= wall())) return config['access-token']
  const command = config['cmd-path']
  if (!command)
    throw new Error(
      `the access token of its auth-provider ${JSON.stringify(name)} has expired, and there is no cmd-path`,
    )
  const args = (config['cmd-args'] ?? '').split(' ').filter((arg) => arg !== '')
  const output = await runCommand(command, args, env, { terminal: undefined, said, clock })
  const token = pick(output, config['token-key'] || '{.access_token}')
  if (!token) throw new PluginError('failed: its answer has no token')
  return token
}

// The client's own class: it refreshes the token, and takes openid-client with it, which nobody else needs.
async function oidcToken(config: Config): Promise<string | undefined> {
  const { OpenIDConnectAuth } = await import('@kubernetes/client-node/dist/oidc_auth.js')
  const auth = new OpenIDConnectAuth()
  const options = { headers: {} as Record<string, string> }
  await auth.applyAuthentication({ name: '', authProvider: { name: 'oidc', config } }, options)
  return options.headers['Authorization']?.replace(/^Bearer /, '')
}

/** `{.credential.access_token}` of a JSON text: the only form of JSONPath that is used here. */
function pick(json: string, path: string): string | undefined {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    throw new PluginError('failed: its answer is no JSON')
  }
  for (const key of path.replace(/^\{?\$?\.?|\}$/g, '').split('.'))
    value = (value as Record<string, unknown> | null)?.[key]
  return typeof value === 'string' && value !== '' ? value : undefined
}
