// What changes, as it changes. Events patch what is shown, and mark the rest as stale, a few times a second at most.
import type { QueryClient } from '@tanstack/react-query'
import type { Schemas } from './client'
import { listen } from './stream'
import { letterOf } from '../parts/states'

type Seen = Schemas['Seen']
type Grid = Schemas['Grid']

/** How long changes are gathered before what they touch is read again, in milliseconds. */
const GATHER = 400
/** Reading a crowded run again costs more. */
const GATHER_CROWDED = 3000

export type Connection = 'live' | 'connecting'

/** Watches until the returned function is called. */
export function watch(client: QueryClient, told: (connection: Connection) => void): () => void {
  const stale = new Stale(client)
  const readAgain = () => void client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== 'session' })
  const stop = listen(() => '/api/v1/events', {
    open: () => {
      told('live')
      // What has changed before it was listened to.
      readAgain()
    },
    lost: () => told('connecting'),
    events: {
      changes: (event) => {
        const seen = JSON.parse(event.data) as Seen
        patchGrids(client, seen, stale)
        stale.add(seen)
      },
      workers: (event) => {
        const workers = JSON.parse(event.data) as Schemas['Worker'][]
        client.setQueryData<Schemas['Fleet']>(['fleet'], (fleet) => fleet && { ...fleet, workers })
      },
      reset: readAgain,
    },
  })
  return () => {
    stop()
    stale.stop()
  }
}

/** Lists that any run's change may reorder. */
const LISTS = new Set(['dags', 'runs', 'live', 'backfills', 'pools', 'asset-events', 'assets'])

class Stale {
  private dags = new Set<string>()
  private runs = new Set<string>()
  private grids = new Set<string>()
  private timer: ReturnType<typeof setTimeout> | undefined
  private gridTimer: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly client: QueryClient) {}

  add(seen: Seen) {
    for (const run of seen.runs) {
      this.dags.add(run.dag_id)
      this.runs.add(run.run_key)
    }
    for (const change of seen.instances) this.runs.add(change.run_key)
    for (const crowd of seen.crowded) {
      this.runs.add(crowd.run_key)
      this.addGrid(crowd.dag_id, GATHER_CROWDED)
    }
    this.timer ??= setTimeout(() => this.flush(), GATHER)
  }

  /** A grid that cannot be patched is read again. */
  addGrid(dag: string, gather = GATHER) {
    this.grids.add(dag)
    this.gridTimer ??= setTimeout(() => this.flushGrids(), gather)
  }

  stop() {
    clearTimeout(this.timer)
    clearTimeout(this.gridTimer)
  }

  private flush() {
    this.timer = undefined
    const { dags, runs } = this
    this.dags = new Set()
    this.runs = new Set()
    this.readAgain((kind, first) => {
      if (LISTS.has(kind)) return true
      if (kind === 'dag') return dags.has(first)
      return (kind === 'run' || kind === 'instances' || kind === 'instance') && runs.has(first)
    })
  }

  private flushGrids() {
    this.gridTimer = undefined
    const grids = this.grids
    this.grids = new Set()
    this.readAgain((kind, first) => kind === 'grid' && grids.has(first))
  }

  /** What is being read already is not begun anew: changes may come faster than answers. */
  private readAgain(touched: (kind: string, first: string) => boolean) {
    const predicate = ({ queryKey: [kind, first] }: { queryKey: readonly unknown[] }) => touched(kind as string, first as string)
    void this.client.invalidateQueries({ predicate }, { cancelRefetch: false })
  }
}

/** Puts the new letters into the grids that are shown; what does not fit has its grid read again. */
function patchGrids(client: QueryClient, seen: Seen, stale: Stale) {
  const touched = new Set([...seen.runs, ...seen.instances].map((change) => change.dag_id))
  for (const dag of touched) {
    for (const [key, grid] of client.getQueriesData<Grid>({ queryKey: ['grid', dag] })) {
      if (!grid) continue
      const { patched, fits } = patchedGrid(grid, dag, seen)
      if (patched !== grid) client.setQueryData(key, patched)
      if (!fits) stale.addGrid(dag)
    }
  }
}

/** The grid with what can be put into it, and whether that was all. */
export function patchedGrid(grid: Grid, dag: string, seen: Seen): { patched: Grid; fits: boolean } {
  const columns = new Map(grid.runs.map((run) => [run.run_key, run]))
  const places = new Map(grid.tasks.map((task, place) => [task.task_id, place]))
  const letters = new Map<string, string[]>()
  // A run's times are the store's to say, and so is where a new run stands.
  let fits = seen.runs.every((change) => change.dag_id !== dag || columns.get(change.run_key)?.state === change.state)
  for (const change of seen.instances) {
    const run = columns.get(change.run_key)
    // An older run than those that are shown.
    if (change.dag_id !== dag || !run) continue
    const place = places.get(change.task_id)
    if (place === undefined || grid.tasks[place]?.mapped) {
      fits = false
      continue
    }
    const own = letters.get(change.run_key) ?? [...run.states]
    own[place] = letterOf(change.state)
    letters.set(change.run_key, own)
  }
  if (letters.size === 0) return { patched: grid, fits }
  const runs = grid.runs.map((run) => {
    const own = letters.get(run.run_key)
    return own ? { ...run, states: own.join('') } : run
  })
  return { patched: { ...grid, runs }, fits }
}
