// The variables by which programs find a proxy.

/** `address`: `127.0.0.1:1080`, for SOCKS and HTTP alike. */
export function proxyEnvironment(address: string): Record<string, string> {
  return {
    ALL_PROXY: `socks5h://${address}`,
    HTTP_PROXY: `http://${address}`,
    HTTPS_PROXY: `http://${address}`,
    NO_PROXY: 'localhost,127.0.0.1,::1',
    NODE_USE_ENV_PROXY: '1',
  }
}

/** The same, also in small letters, which some programs (curl, wget) heed alone. For a program that is started with them. */
export function bothCases(variables: Record<string, string>): Record<string, string> {
  const small = Object.entries(variables).filter(([name]) => name.endsWith('_PROXY') && !name.startsWith('NODE_'))
  return { ...variables, ...Object.fromEntries(small.map(([name, value]) => [name.toLowerCase(), value])) }
}
