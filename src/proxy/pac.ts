// The PAC file: the function by which a browser decides what goes through the proxy. Pure.

export interface PacOptions {
  /** `127.0.0.1:1080`. */
  address: string
  clusterDomain: string
  /** Namespaces that are known: `web.shop` is a name of the cluster. */
  namespaces: string[]
  /** CIDR text. */
  ranges: string[]
}

/** JavaScript of the dialect that every browser takes: no newer than 1999. */
export function pacFile({ address, clusterDomain, namespaces, ranges }: PacOptions): string {
  const masks = ranges.filter((range) => !range.includes(':')).map((range) => range.split('/'))
  const six = ranges.filter((range) => range.includes(':'))
  const json = (value: unknown) => JSON.stringify(value)
  return `// Made by kt: the cluster's names and addresses go through the proxy, all others do not.
var namespaces = ${json(Object.fromEntries(namespaces.map((name) => [name, 1])))};
var ranges4 = ${json(masks.map(([base, bits]) => [base, dotted(Number(bits))]))};
var ranges6 = ${json(six)};
function FindProxyForURL(url, host) {
  var proxy = "SOCKS5 ${address}; PROXY ${address}";
  var name = host.toLowerCase().replace(/\\.$/, "");
  if (name === "localhost" || /\\.localhost$/.test(name)) return "DIRECT";
  if (/^\\d+\\.\\d+\\.\\d+\\.\\d+$/.test(name)) {
    for (var i = 0; i < ranges4.length; i++) if (isInNet(name, ranges4[i][0], ranges4[i][1])) return proxy;
    return "DIRECT";
  }
  if (name.indexOf(":") >= 0) {
    if (typeof isInNetEx === "function")
      for (var k = 0; k < ranges6.length; k++) if (isInNetEx(name.replace(/^\\[|\\]$/g, ""), ranges6[k])) return proxy;
    return "DIRECT";
  }
  var labels = name.split(".");
  var last = labels[labels.length - 1];
  if (labels.length === 1) return proxy + "; DIRECT";
  if (last === "svc" || (last === "pod" && labels.length === 3)) return proxy;
  if (dnsDomainIs("." + name, ${json(`.${clusterDomain}`)})) return proxy;
  if (labels.length <= 3 && namespaces.hasOwnProperty(last)) return proxy + "; DIRECT";
  return "DIRECT";
}
`
}

/** 16 is 255.255.0.0. */
function dotted(bits: number): string {
  const octet = (i: number) => 256 - 2 ** (8 - Math.min(8, Math.max(0, bits - 8 * i)))
  return [0, 1, 2, 3].map(octet).join('.')
}
