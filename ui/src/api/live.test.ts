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

const instance = (task_id: string, run_key = 'r') => ({ run_key, dag_id: 'd', task_id, map_index: -1, state: 'running', attempt: 1 }) as const

test('a change is put in its place, or the grid is read again', () => {
  const check = (seen: Partial<Schemas['Seen']>, expected: string | undefined) =>
    expect(patchedGrid(grid, { runs: [], instances: [], crowded: [], ...seen })?.runs[0]?.states).toBe(expected)
  check({ instances: [instance('a')] }, 'r.')
  check({ instances: [instance('m')] }, undefined)
  check({ instances: [instance('a', 'other')] }, undefined)
  check({ runs: [{ run_key: 'r', dag_id: 'd', run_id: 'x', state: 'success' }] }, undefined)
})
