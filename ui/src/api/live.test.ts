import { expect, test } from 'vitest'
import type { Schemas } from './client'
import { patchedGrid } from './live'

const grid = {
  tasks: [
    { task_id: 'a', mapped: false },
    { task_id: 'm', mapped: true },
  ],
  runs: [{ run_key: 'r', state: 'running', states: 'q.' }],
} as unknown as Schemas['Grid']

const instance = (task_id: string, run_key = 'r', dag_id = 'd') => ({ run_key, dag_id, task_id, map_index: -1, state: 'running', attempt: 1 }) as const
const run = (run_key: string, state: 'running' | 'success', dag_id = 'd') => ({ run_key, dag_id, run_id: 'x', state })

test('a change is put in its place, and what has none has the grid read again', () => {
  const check = (seen: Partial<Schemas['Seen']>, states: string, fits: boolean) => {
    const found = patchedGrid(grid, 'd', { runs: [], instances: [], crowded: [], ...seen })
    expect([found.patched.runs[0]?.states, found.fits]).toEqual([states, fits])
  }
  check({ instances: [instance('a')] }, 'r.', true)
  check({ instances: [instance('m')] }, 'q.', false)
  check({ instances: [instance('a'), instance('m')] }, 'r.', false)
  check({ instances: [instance('a', 'an older one')] }, 'q.', true)
  check({ instances: [instance('a', 'r', 'another Dag')] }, 'q.', true)
  check({ runs: [run('r', 'success')] }, 'q.', false)
  check({ runs: [run('r', 'running')] }, 'q.', true)
  check({ runs: [run('new', 'running')] }, 'q.', false)
  check({ runs: [run('new', 'running', 'another Dag')] }, 'q.', true)
})
