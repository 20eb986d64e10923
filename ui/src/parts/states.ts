// States: their letters on the wire, their words, and the shapes that tell them apart without colour.
import type { Schemas } from '../api/client'

export type TaskState = Schemas['TaskState']
export type RunState = Schemas['RunState']

/** Of the grid, letter by letter; the API's document names them. */
const LETTERS: Record<string, TaskState> = {
  '.': 'none',
  c: 'scheduled',
  q: 'queued',
  r: 'running',
  d: 'deferred',
  y: 'up_for_retry',
  p: 'up_for_reschedule',
  s: 'success',
  f: 'failed',
  u: 'upstream_failed',
  k: 'skipped',
  x: 'removed',
}

const BY_STATE = Object.fromEntries(Object.entries(LETTERS).map(([letter, state]) => [state, letter]))

export const stateOf = (letter: string): TaskState | undefined => LETTERS[letter]
export const letterOf = (state: TaskState): string => BY_STATE[state] ?? '.'

export const STATES = Object.values(LETTERS)

const ENDED = new Set<string>(['success', 'failed', 'upstream_failed', 'skipped', 'removed'])
export const isEnded = (state: string) => ENDED.has(state)

/** The higher the more attention: what a group shows of its members. */
export const ATTENTION: TaskState[] = [
  'removed',
  'skipped',
  'success',
  'none',
  'scheduled',
  'queued',
  'up_for_reschedule',
  'deferred',
  'running',
  'up_for_retry',
  'upstream_failed',
  'failed',
]

export function worst(states: Iterable<TaskState>): TaskState | undefined {
  let found = -1
  for (const state of states) found = Math.max(found, ATTENTION.indexOf(state))
  return ATTENTION[found]
}

/** In a box of 16 by 16. `fill` shapes are filled, `line` shapes are drawn; `cut` is drawn in the background's colour. */
export const SHAPES: Record<TaskState, { fill?: string; line?: string; cut?: string }> = {
  success: { fill: 'M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1z', cut: 'M4.8 8.2l2.3 2.3 4.2-4.6' },
  failed: { fill: 'M5 1h6l4 4v6l-4 4H5l-4-4V5z', cut: 'M5.4 5.4l5.2 5.2m0-5.2l-5.2 5.2' },
  upstream_failed: { fill: 'M8 1.2l7 13.3H1z', cut: 'M8 6v4.2m0 1.6v.4' },
  running: { line: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8z', fill: 'M6.4 5v6l4.6-3z' },
  queued: { line: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8z', fill: 'M8 5.6a2.4 2.4 0 1 0 0 4.8 2.4 2.4 0 0 0 0-4.8z' },
  scheduled: { line: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8zM8 4.4V8l2.4 1.6' },
  deferred: { line: 'M4 1.8h8M4 14.2h8M4.8 1.8c0 4 2.2 4.6 3.2 6.2 1-1.6 3.2-2.2 3.2-6.2M4.8 14.2c0-4 2.2-4.6 3.2-6.2 1 1.6 3.2 2.2 3.2 6.2' },
  up_for_retry: { line: 'M13.8 8A5.8 5.8 0 1 1 11.6 3.4M12.2.8v3.4H8.8' },
  up_for_reschedule: { line: 'M2 5.5h10M9.5 2.6l2.9 2.9-2.9 2.9M14 10.5H4M6.5 7.6l-2.9 2.9 2.9 2.9' },
  skipped: { line: 'M3 3l5 5-5 5M8.5 3l5 5-5 5' },
  removed: { line: 'M2.5 8h11' },
  none: { line: 'M8 3.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z' },
}
