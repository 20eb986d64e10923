// A graph with some of its groups folded into one box each.
import type { Schemas } from '../../api/client'

type GraphTask = Schemas['GraphTask']

export type Node = { id: string; label: string; group?: string; members: string[]; task?: GraphTask }
export type Folded = { nodes: Node[]; edges: [string, string][] }

/** The outermost folded group that a task is in. */
function foldedGroup(task: GraphTask, folded: ReadonlySet<string>): string | undefined {
  const parts = task.group?.split('.') ?? []
  for (let length = 1; length <= parts.length; length++) {
    const group = parts.slice(0, length).join('.')
    if (folded.has(group)) return group
  }
  return undefined
}

export function fold(tasks: readonly GraphTask[], folded: ReadonlySet<string>): Folded {
  const nodes = new Map<string, Node>()
  const home = new Map<string, string>()
  for (const task of tasks) {
    const group = foldedGroup(task, folded)
    const id = group ? `group:${group}` : task.task_id
    home.set(task.task_id, id)
    const known = nodes.get(id)
    if (known) known.members.push(task.task_id)
    else nodes.set(id, { id, label: group ?? task.task_id, group, members: [task.task_id], task: group ? undefined : task })
  }
  const edges = new Map<string, [string, string]>()
  for (const task of tasks) {
    for (const above of task.depends_on) {
      const [from, to] = [home.get(above), home.get(task.task_id)]
      if (from && to && from !== to) edges.set(`${from}\n${to}`, [from, to])
    }
  }
  return { nodes: [...nodes.values()], edges: [...edges.values()] }
}

/** All that is above or below, itself included. */
export function around(id: string, edges: readonly [string, string][]): Set<string> {
  const found = new Set([id])
  const walk = (from: 0 | 1) => {
    const next = new Map<string, string[]>()
    for (const edge of edges) {
      const list = next.get(edge[from]) ?? []
      list.push(edge[from === 0 ? 1 : 0])
      next.set(edge[from], list)
    }
    const waiting = [id]
    const seen = new Set(waiting)
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      for (const other of next.get(at) ?? []) {
        if (!seen.has(other)) {
          seen.add(other)
          found.add(other)
          waiting.push(other)
        }
      }
    }
  }
  walk(0)
  walk(1)
  return found
}

/** Every group, the outer ones first. */
export function groupsOf(tasks: readonly GraphTask[]): string[] {
  const groups = new Set<string>()
  for (const { group } of tasks) {
    const parts = group?.split('.') ?? []
    parts.forEach((_, index) => groups.add(parts.slice(0, index + 1).join('.')))
  }
  return [...groups].sort()
}
