// What changes, as it changes. Events patch what is shown, and mark the rest as stale, a few times a second at most.
import type { QueryClient } from '@tanstack/react-query'
import type { Schemas } from './client'
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
  const source = new EventSource('/api/v1/events')
  const stale = new Stale(client)
  source.onopen = () => told('live')
  // The browser connects again by itself, and goes on from the last id.
  source.onerror = () => told('connecting')
  source.addEventListener('changes', (event) => {
    const seen = JSON.parse(event.data) as Seen
    patchGrids(client, seen)
    stale.add(seen)
  })
  source.addEventListener('workers', (event) => {
    const workers = JSON.parse(event.data) as Schemas['Worker'][]
    client.setQueryData<Schemas['Fleet']>(['fleet'], (fleet) => fleet && { ...fleet, workers })
  })
  source.addEventListener('reset', () => void client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== 'session' }))
  return () => {
    source.close()
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
  private crowded: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly client: QueryClient) {}

  add(seen: Seen) {
    for (const run of seen.runs) {
      this.dags.add(run.dag_id)
      this.runs.add(run.run_key)
    }
    for (const change of seen.instances) this.runs.add(change.run_key)
    for (const crowd of seen.crowded) this.grids.add(crowd.dag_id)
    this.timer ??= setTimeout(() => this.flush(), GATHER)
    if (seen.crowded.length > 0) this.crowded ??= setTimeout(() => this.flushCrowded(), GATHER_CROWDED)
  }

  stop() {
    clearTimeout(this.timer)
    clearTimeout(this.crowded)
  }

  private flush() {
    this.timer = undefined
    const { dags, runs } = this
    this.dags = new Set()
    this.runs = new Set()
    void this.client.invalidateQueries({
      predicate: ({ queryKey: [kind, first] }) => {
        if (LISTS.has(kind as string)) return true
        if (kind === 'dag') return dags.has(first as string)
        return (kind === 'run' || kind === 'instances' || kind === 'instance') && runs.has(first as string)
      },
    })
  }

  private flushCrowded() {
    this.crowded = undefined
    const grids = this.grids
    this.grids = new Set()
    void this.client.invalidateQueries({
      predicate: ({ queryKey: [kind, first] }) => kind === 'grid' && grids.has(first as string),
    })
  }
}

/** Puts the new letters into the grids that are shown; a run or a mapped task that is news reads its grid again. */
function patchGrids(client: QueryClient, seen: Seen) {
  const touched = new Set([...seen.runs, ...seen.instances].map((change) => change.dag_id))
  for (const dag of touched) {
    for (const [key, grid] of client.getQueriesData<Grid>({ queryKey: ['grid', dag] })) {
      if (!grid) continue
      const patched = patchedGrid(grid, seen)
      if (patched) client.setQueryData(key, patched)
      else void client.invalidateQueries({ queryKey: key })
    }
  }
}

/** Undefined if the changes do not fit into what is there. */
export function patchedGrid(grid: Grid, seen: Seen): Grid | undefined {
  const runs = new Map(grid.runs.map((run) => [run.run_key, { ...run, letters: undefined as string[] | undefined }]))
  const places = new Map(grid.tasks.map((task, place) => [task.task_id, place]))
  for (const change of seen.runs) {
    const run = runs.get(change.run_key)
    if (!run) return undefined
    // Its times are the store's to say.
    if (run.state !== change.state) return undefined
  }
  for (const change of seen.instances) {
    const run = runs.get(change.run_key)
    const place = places.get(change.task_id)
    if (!run || place === undefined || grid.tasks[place]?.mapped) return undefined
    run.letters ??= [...run.states]
    run.letters[place] = letterOf(change.state)
  }
  const patched = grid.runs.map((run) => {
    const { letters, ...rest } = runs.get(run.run_key) ?? { ...run, letters: undefined }
    return letters ? { ...rest, states: letters.join('') } : run
  })
  return { ...grid, runs: patched }
}
