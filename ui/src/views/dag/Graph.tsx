// The graph of a version, with the states of one run on it.
import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent, type WheelEvent } from 'react'
import type { Schemas } from '../../api/client'
import { graph, instances, runs } from '../../api/queries'
import { Loaded } from '../../parts/Notice'
import { useEveryPage } from '../../parts/useEveryPage'
import { worst, type TaskState } from '../../parts/states'
import { dagRoute } from '../../router'
import { around, fold, groupsOf, type Node } from './folding'
import type { Laid } from './layout.worker'
import { useLayout } from './useLayout'

const HEIGHT = 34
const LETTER = 7.4

export function DagGraph({ dagId }: { dagId: string }) {
  const search = dagRoute.useSearch()
  const navigate = useNavigate({ from: dagRoute.fullPath })
  const latest = useInfiniteQuery(runs({ dag_id: dagId }, 25))
  const list = latest.data?.pages.flatMap((page) => page.items) ?? []
  const chosen = list.find((run) => run.run_key === search.run) ?? list[0]
  return (
    <>
      <div className="tools">
        <label>
          Run{' '}
          <select value={chosen?.run_key ?? ''} onChange={(event) => void navigate({ search: (old) => ({ ...old, run: event.target.value }) })}>
            {list.length === 0 && <option value="">no run yet</option>}
            {list.map((run) => (
              <option key={run.run_key} value={run.run_key}>
                {run.run_id} ({run.state})
              </option>
            ))}
          </select>
        </label>
      </div>
      {latest.isPending ? null : <RunGraph dagId={dagId} version={chosen?.version} runKey={chosen?.run_key} />}
    </>
  )
}

export function RunGraph({ dagId, version, runKey }: { dagId: string; version?: string; runKey?: string }) {
  const query = useQuery(graph(dagId, version))
  return <Loaded query={query}>{(data) => <Drawing tasks={data.tasks} runKey={runKey} />}</Loaded>
}

type View = { x: number; y: number; scale: number }

function Drawing({ tasks, runKey }: { tasks: Schemas['GraphTask'][]; runKey?: string }) {
  const [folded, setFolded] = useState<ReadonlySet<string>>(() => new Set(tasks.length > 300 ? groupsOf(tasks) : []))
  const [find, setFind] = useState('')
  const [focus, setFocus] = useState<string>()
  const { nodes, edges } = useMemo(() => fold(tasks, folded), [tasks, folded])
  const boxes = useMemo(
    () => nodes.map(({ id, label }) => ({ id, width: Math.min(320, 44 + label.length * LETTER), height: HEIGHT })),
    [nodes],
  )
  const laid = useLayout(boxes, edges)
  const states = useStates(runKey)
  const near = useMemo(() => (focus ? around(focus, edges) : undefined), [focus, edges])
  const groups = useMemo(() => groupsOf(tasks), [tasks])
  const toggle = (group: string) => {
    const next = new Set(folded)
    if (!next.delete(group)) next.add(group)
    setFolded(next)
  }
  const found = find ? nodes.filter((node) => node.label.toLowerCase().includes(find.toLowerCase())) : []
  return (
    <>
      <div className="tools">
        <input
          type="search"
          placeholder="Search tasks"
          aria-label="Search tasks"
          value={find}
          onChange={(event) => setFind(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter') setFocus(found[0]?.id)
          }}
        />
        {find && <span className="muted">{found.length} found</span>}
        {groups.length > 0 && (
          <>
            <button type="button" onClick={() => setFolded(new Set(groups))}>
              Fold groups
            </button>
            <button type="button" onClick={() => setFolded(new Set())}>
              Unfold groups
            </button>
          </>
        )}
        {focus && (
          <button type="button" onClick={() => setFocus(undefined)}>
            Show all
          </button>
        )}
      </div>
      {laid ? (
        <Canvas laid={laid} nodes={nodes} states={states} near={near} found={new Set(found.map(({ id }) => id))} focus={setFocus} toggle={toggle} runKey={runKey} />
      ) : (
        <p className="loading muted">Laying out {nodes.length} tasks …</p>
      )}
    </>
  )
}

/** By task; of a mapped task the state that needs most attention. */
function useStates(runKey: string | undefined): Map<string, TaskState> {
  const query = useInfiniteQuery({ ...instances(runKey ?? ''), enabled: Boolean(runKey) })
  useEveryPage(query)
  return useMemo(() => {
    const states = new Map<string, TaskState[]>()
    for (const instance of query.data?.pages.flatMap((page) => page.items) ?? []) {
      const list = states.get(instance.task_id)
      if (list) list.push(instance.state)
      else states.set(instance.task_id, [instance.state])
    }
    return new Map([...states].map(([task, list]) => [task, worst(list) ?? 'none']))
  }, [query.data])
}

type CanvasProps = {
  laid: Laid
  nodes: Node[]
  states: Map<string, TaskState>
  near: Set<string> | undefined
  found: Set<string>
  focus: (id: string | undefined) => void
  toggle: (group: string) => void
  runKey?: string
}

function Canvas({ laid, nodes, states, near, found, focus, toggle, runKey }: CanvasProps) {
  const navigate = useNavigate()
  const frame = useRef<SVGSVGElement>(null)
  const [view, setView] = useState<View>({ x: 0, y: 0, scale: 1 })
  const drag = useRef<{ x: number; y: number; view: View } | undefined>(undefined)
  const byId = useMemo(() => new Map(nodes.map((node) => [node.id, node])), [nodes])
  const fit = () => {
    const box = frame.current?.getBoundingClientRect()
    if (!box || box.width === 0) return
    const scale = Math.min(1.2, box.width / laid.width, box.height / laid.height)
    setView({ scale, x: (box.width - laid.width * scale) / 2, y: (box.height - laid.height * scale) / 2 })
  }
  useEffect(fit, [laid])
  const zoom = (factor: number, x: number, y: number) =>
    setView((old) => {
      const scale = Math.min(3, Math.max(0.02, old.scale * factor))
      return { scale, x: x - ((x - old.x) / old.scale) * scale, y: y - ((y - old.y) / old.scale) * scale }
    })
  const middle = (factor: number) => {
    const box = frame.current?.getBoundingClientRect()
    zoom(factor, (box?.width ?? 0) / 2, (box?.height ?? 0) / 2)
  }
  const wheel = (event: WheelEvent) => {
    const box = frame.current?.getBoundingClientRect()
    zoom(Math.exp(-event.deltaY / 500), event.clientX - (box?.left ?? 0), event.clientY - (box?.top ?? 0))
  }
  const down = (event: PointerEvent) => {
    if ((event.target as Element).closest('.node')) return
    drag.current = { x: event.clientX, y: event.clientY, view }
    event.currentTarget.setPointerCapture(event.pointerId)
  }
  const move = (event: PointerEvent) => {
    const from = drag.current
    if (from) setView({ ...from.view, x: from.view.x + event.clientX - from.x, y: from.view.y + event.clientY - from.y })
  }
  const open = (node: Node) => {
    if (node.group) toggle(node.group)
    else if (runKey) void navigate({ to: '/runs/$runKey/tasks/$taskId', params: { runKey, taskId: node.id } })
  }
  const pressed = (event: KeyboardEvent, node: Node) => {
    if (event.key === 'Enter' || event.key === ' ') open(node)
    else if (event.key === 'f') focus(node.id)
    else return
    event.preventDefault()
  }
  return (
    <div className="graph">
      <svg
        ref={frame}
        className="graph-canvas"
        role="group"
        aria-label="Tasks and what they depend on"
        onWheel={wheel}
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={() => {
          drag.current = undefined
        }}
      >
        <g transform={`translate(${view.x} ${view.y}) scale(${view.scale})`}>
          {laid.edges.map(({ from, to, points }) => (
            <path
              key={`${from}\n${to}`}
              d={curve(points)}
              className={near && !(near.has(from) && near.has(to)) ? 'edge is-far' : near ? 'edge is-near' : 'edge'}
            />
          ))}
          {laid.boxes.map((box) => {
            const node = byId.get(box.id)
            if (!node) return null
            const state = worst(node.members.map((member) => states.get(member) ?? 'none')) ?? 'none'
            const marks = [near && !near.has(box.id) && 'is-far', found.has(box.id) && 'is-found', node.group && 'is-group']
            return (
              <g
                key={box.id}
                className={['node', `is-${state}`, ...marks.filter(Boolean)].join(' ')}
                transform={`translate(${box.x - box.width / 2} ${box.y - box.height / 2})`}
                tabIndex={0}
                role="button"
                aria-label={`${node.label}, ${node.group ? `${node.members.length} tasks, ` : ''}${state.replaceAll('_', ' ')}`}
                onClick={() => open(node)}
                onKeyDown={(event) => pressed(event, node)}
                onMouseEnter={() => !found.size && focus(box.id)}
                onMouseLeave={() => !found.size && focus(undefined)}
              >
                <rect width={box.width} height={box.height} rx={6} />
                <use href={`#state-${state}`} x={9} y={9} width={16} height={16} className="state-icon" />
                <text x={32} y={HEIGHT / 2 + 5}>
                  {node.label.length > 36 ? `${node.label.slice(0, 35)}…` : node.label}
                  {node.task?.mapped ? ' [ ]' : ''}
                </text>
                <title>
                  {node.label}: {state.replaceAll('_', ' ')}
                </title>
              </g>
            )
          })}
        </g>
      </svg>
      <div className="graph-tools">
        <button type="button" onClick={() => middle(1.3)} aria-label="Zoom in">
          +
        </button>
        <button type="button" onClick={() => middle(1 / 1.3)} aria-label="Zoom out">
          −
        </button>
        <button type="button" onClick={fit}>
          Fit
        </button>
      </div>
    </div>
  )
}

function curve(points: { x: number; y: number }[]): string {
  const [first, ...rest] = points
  if (!first) return ''
  const last = rest.at(-1) ?? first
  if (rest.length < 2) return `M${first.x} ${first.y}L${last.x} ${last.y}`
  let path = `M${first.x} ${first.y}`
  for (let index = 0; index < rest.length - 1; index++) {
    const [at, next] = [rest[index] as { x: number; y: number }, rest[index + 1] as { x: number; y: number }]
    path += `Q${at.x} ${at.y} ${(at.x + next.x) / 2} ${(at.y + next.y) / 2}`
  }
  return `${path}L${last.x} ${last.y}`
}
