// The grid's rows: tasks under their groups, folded or not, and what each shows of a run.
import type { Schemas } from '../../api/client'
import { stateOf, worst, type TaskState } from '../../parts/states'

type GridTask = Schemas['GridTask']

export type Row =
  | { kind: 'task'; key: string; name: string; title: string; depth: number; task: GridTask; places: number[] }
  | { kind: 'group'; key: string; name: string; title: string; depth: number; group: string; places: number[] }

/** Tasks in the order of the grid; a group stands where its first task does. */
export function rowsOf(tasks: readonly GridTask[], folded: ReadonlySet<string>, search?: string): Row[] {
  const wanted = search?.toLowerCase()
  const rows: Row[] = []
  const groups = new Map<string, { row: Row; under: Row[] }>()
  const listOf = (group: string | null | undefined): Row[] => {
    if (!group) return rows
    const known = groups.get(group)
    if (known) return known.under
    const parent = group.includes('.') ? group.slice(0, group.lastIndexOf('.')) : undefined
    const depth = group.split('.').length - 1
    const name = parent ? group.slice(parent.length + 1) : group
    const row: Row = { kind: 'group', key: `group:${group}`, name, title: group, depth, group, places: [] }
    const under: Row[] = []
    groups.set(group, { row, under })
    listOf(parent).push(row)
    return under
  }
  tasks.forEach((task, place) => {
    if (wanted && !task.task_id.toLowerCase().includes(wanted)) return
    const group = task.group
    const depth = group ? group.split('.').length : 0
    const name = group ? task.task_id.slice(group.length + 1) : task.task_id
    listOf(group).push({ kind: 'task', key: task.task_id, name, title: task.task_id, depth, task, places: [place] })
    for (let above = group; above; above = above.includes('.') ? above.slice(0, above.lastIndexOf('.')) : null) {
      groups.get(above)?.row.places.push(place)
    }
  })
  const flat: Row[] = []
  const unfold = (list: Row[]) => {
    for (const row of list) {
      flat.push(row)
      if (row.kind === 'group' && !folded.has(row.group)) unfold(groups.get(row.group)?.under ?? [])
    }
  }
  unfold(rows)
  return flat
}

/** What a row shows of a run: of a group the state that needs most attention. */
export function cellOf(states: string, row: Row): TaskState | undefined {
  if (row.kind === 'task') return stateOf(states[row.places[0] ?? -1] ?? ' ')
  const found = new Set<TaskState>()
  for (const place of row.places) {
    const state = stateOf(states[place] ?? ' ')
    if (state) found.add(state)
  }
  return worst(found)
}
