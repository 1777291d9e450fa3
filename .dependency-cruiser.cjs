// Imports go one way: daemon -> { connection, tun, host, dns, control, stack } -> wire; connection -> { cluster, tunnel, dns }; cli -> control.
// TypeScript 7 has no JavaScript API, so the files are parsed by swc; without it, this check would see no .ts file and pass.
const layer = (name, ...allowed) => ({
  name: `${name}-imports`,
  severity: 'error',
  comment: `src/${name} may import only: ${[name, 'base', ...allowed].join(', ')}`,
  from: { path: `^src/${name}/` },
  to: { path: '^src/', pathNot: `^src/(${[name, 'base', ...allowed].join('|')})/` },
})

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: { path: '^src/' }, to: { circular: true } },
    { name: 'tests-stay-out', severity: 'error', from: { path: '^src/' }, to: { path: '^(test|bench|scripts)/' } },
    {
      name: 'ssh2-in-tunnel-only',
      severity: 'error',
      comment: 'src/tunnel is the one importer of ssh2 (the agent uses its session layer)',
      from: { path: '^src/', pathNot: '^src/tunnel/' },
      to: { path: 'node_modules/ssh2/' },
    },
    {
      name: 'client-node-in-cluster-only',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/cluster/' },
      to: { path: 'node_modules/@kubernetes/client-node/' },
    },
    {
      name: 'dgram-in-one-place',
      severity: 'error',
      comment: 'src/base/datagram-socket.ts is the one user of node:dgram: an error that nobody handles ends a process',
      from: { path: '^src/', pathNot: '^src/base/datagram-socket[.]ts$' },
      to: { path: '^(node:)?dgram$' },
    },
    {
      name: 'place-is-pure',
      severity: 'error',
      comment: 'src/cluster/place computes environment and files from what was read: it reads and writes nothing itself',
      from: { path: '^src/cluster/place/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'place-imports',
      severity: 'error',
      comment: 'src/cluster/place may import only: place, base, and plain parts of cluster',
      from: { path: '^src/cluster/place/' },
      to: { path: '^src/', pathNot: '^src/(base/|cluster/(place/|(errors|pods|place-calls)[.]ts$))' },
    },
    {
      name: 'linux-below-host',
      severity: 'error',
      comment: 'src/host/linux is one system of several: it knows what is asked of it, not who asks and in which order',
      from: { path: '^src/host/linux/' },
      to: { path: '^src/host/(host|journal|guard|others|system)[.]ts$' },
    },
    layer('base'),
    layer('wire'),
    layer('stack', 'wire'),
    layer('tun', 'wire'),
    layer('tunnel', 'wire'),
    layer('shadow', 'tunnel', 'wire'),
    layer('dns', 'wire'),
    layer('host', 'wire'),
    layer('cluster', 'wire', 'tunnel'),
    layer('connection', 'cluster', 'tunnel', 'dns', 'wire'),
    layer('control'),
    layer('cli', 'control'),
    layer('dashboard', 'control'),
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|\\.node|native/build)/' },
    tsPreCompilationDeps: true,
    moduleSystems: ['es6', 'cjs'],
    enhancedResolveOptions: { extensions: ['.ts', '.tsx', '.js', '.json'], exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
}
