// The faults of `./dev chaos`: what is done, and how soon everything must work again once the cause is gone.
import { seconds, type World } from './world.ts'

export interface Fault {
  name: string
  /** Flows that were open must live; false where their pod is gone, and they must be reset. */
  live: boolean
  /** Longest gap after the fault has ended, ms. */
  mostMs: number
  /** The cause stays: what counts is the longest gap from its beginning on. */
  lasting?: true
  /** Kept-open flows beside the load's usual ones. */
  idle?: number
  /** Does it; resolves to when (ms since the epoch) its cause was gone, or began if it lasts. */
  run(world: World): Promise<number>
}

const cut = (s: number, mostMs: number, idle?: number): Fault => ({
  name: `cut-${s}${idle ? `-${idle}-flows` : ''}`,
  live: true,
  mostMs,
  idle,
  run: async (world) => {
    world.wan('loss=100')
    await seconds(s)
    world.wan('off')
    return Date.now()
  },
})

const oneWay = (way: 'output' | 'input', s: number): Fault => ({
  name: `${way}-dropped-${s}`,
  live: true,
  mostMs: 1_000,
  run: async (world) => {
    const stop = world.drop(way)
    await seconds(s)
    stop()
    return Date.now()
  },
})

const component = (name: string, of: (world: World) => string, signal: NodeJS.Signals, mostMs: number): Fault => ({
  name,
  live: true,
  mostMs,
  run: async (world) => {
    const start = await world.stopComponent(of(world), signal)
    await seconds(3)
    start()
    for (;;) {
      try {
        world.cluster('kubectl', '--request-timeout=1s', 'get', '--raw', '/readyz')
        return Date.now()
      } catch {
        await seconds(0.1)
      }
    }
  },
})

const node = (world: World) => world.shadow().node

/** The line is cut during it, too: what the cluster sends meanwhile is lost. */
const sleep = (name: string, cut: boolean): Fault => ({
  name,
  live: true,
  mostMs: 1_500,
  run: async (world) => {
    if (cut) world.wan('loss=100')
    const wake = world.sleep()
    await seconds(60)
    if (cut) world.wan('off')
    wake()
    return Date.now()
  },
})

const gone = (name: string, act: (world: World) => void): Fault => ({
  name,
  live: false,
  mostMs: 2_500,
  run: async (world) => {
    act(world)
    return Date.now()
  },
})

export const faults: Fault[] = [
  cut(5, 1_000),
  cut(20, 1_000),
  cut(60, 1_000),
  cut(300, 2_000),
  cut(25, 3_000, 10_000),
  oneWay('output', 20),
  oneWay('input', 20),
  {
    name: 'reset',
    live: true,
    mostMs: 500,
    run: async (world) => {
      world.onLaptop('ss', '-K', 'dport', '=', ':6443')
      return Date.now()
    },
  },
  component('apiserver-term', () => 'kube-apiserver', 'SIGTERM', 1_000),
  component('apiserver-kill', () => 'kube-apiserver', 'SIGKILL', 1_000),
  component('kubelet', (world) => `${node(world)}-kubelet`, 'SIGTERM', 2_000),
  component('containerd', (world) => `${node(world)}-containerd`, 'SIGTERM', 2_000),
  {
    name: 'roam',
    live: true,
    mostMs: 1_500,
    run: async (world) => {
      world.cluster('roam', '--as', world.laptop)
      return Date.now()
    },
  },
  {
    name: 'interface-down-10',
    live: true,
    mostMs: 1_500,
    run: async (world) => {
      const up = world.linkDown()
      await seconds(10)
      up()
      return Date.now()
    },
  },
  sleep('sleep-60', false),
  sleep('sleep-60-cut', true),
  {
    name: 'agent-stopped-30',
    live: true,
    mostMs: 500,
    run: async (world) => {
      const processes = world.agentProcesses(world.shadow().pod)
      if (processes.length === 0) throw new Error('the agent’s process was not found')
      for (const pid of processes) process.kill(pid, 'SIGSTOP')
      await seconds(30)
      for (const pid of processes) process.kill(pid, 'SIGCONT')
      return Date.now()
    },
  },
  {
    name: 'black-hole',
    live: true,
    lasting: true,
    mostMs: 2_000,
    run: async (world) => {
      const began = Date.now()
      const stop = world.blackHole()
      setTimeout(stop, 20_000)
      return began
    },
  },
  gone('pod-killed', (world) => void world.kubectl('delete', 'pod', world.shadow().pod, '--grace-period=0', '--force')),
  gone('pod-deleted', (world) => void world.kubectl('delete', 'pod', world.shadow().pod, '--wait=false')),
  gone('pod-evicted', (world) => world.evict(world.shadow().pod)),
  gone('job-deleted', (world) => void world.kubectl('delete', 'job', world.shadow().job, '--wait=false')),
]

/** In `./dev test`. */
export const SHORT = ['cut-5', 'reset', 'roam', 'black-hole', 'pod-killed']
