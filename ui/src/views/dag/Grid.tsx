// Runs by tasks. Only what is in view is drawn; groups fold; one cursor moves over all cells.
import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useMemo, useRef, useState, type KeyboardEvent } from 'react'
import type { Schemas } from '../../api/client'
import { grid } from '../../api/queries'
import { Empty, Loaded } from '../../parts/Notice'
import { Search } from '../../parts/Search'
import { StateIcon } from '../../parts/State'
import { STATES } from '../../parts/states'
import { formatSeconds, formatTime } from '../../parts/Time'
import { useZone } from '../../parts/settings'
import { dagRoute } from '../../router'
import { cellOf, rowsOf, type Row } from './rows'

type GridData = Schemas['Grid']

const CELL = 22
const ROW = 24
const BARS = 56

export function Grid({ dagId }: { dagId: string }) {
  const { runs } = dagRoute.useSearch()
  const query = useQuery(grid(dagId, runs))
  return (
    <Loaded query={query}>
      {(data) =>
        data.runs.length === 0 ? (
          <Empty title="There are no runs yet">Trigger one, or wait for the schedule.</Empty>
        ) : (
          <Sheet dagId={dagId} data={data} />
        )
      }
    </Loaded>
  )
}

function Sheet({ dagId, data }: { dagId: string; data: GridData }) {
  const { search, run: chosen } = dagRoute.useSearch()
  const navigate = useNavigate({ from: dagRoute.fullPath })
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set())
  const rows = useMemo(() => rowsOf(data.tasks, folded, search), [data.tasks, folded, search])
  // The oldest first, as one reads.
  const columns = useMemo(() => data.runs.toReversed(), [data.runs])
  const scroll = useRef<HTMLDivElement>(null)
  const [cursor, setCursor] = useState<{ row: number; column: number }>()
  const vertical = useVirtualizer({ count: rows.length, getScrollElement: () => scroll.current, estimateSize: () => ROW, overscan: 4 })
  const toggle = (group: string) => {
    const next = new Set(folded)
    if (!next.delete(group)) next.add(group)
    setFolded(next)
  }
  const open = (row: Row | undefined, column: number) => {
    const run = columns[column]
    if (!run || !row) return
    if (row.kind === 'group') toggle(row.group)
    else void navigate({ to: '/runs/$runKey/tasks/$taskId', params: { runKey: run.run_key, taskId: row.task.task_id } })
  }
  const pressed = (event: KeyboardEvent) => {
    const at = cursor ?? { row: 0, column: columns.length - 1 }
    const far = event.ctrlKey ? Infinity : 0
    const step = {
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
      PageUp: [-20, 0],
      PageDown: [20, 0],
      Home: [-far, -Infinity],
      End: [far, Infinity],
    }[event.key]
    if (event.key === 'Enter' || event.key === ' ') open(rows[at.row], at.column)
    else if (!step) return
    else {
      const next = {
        row: Math.min(Math.max(at.row + (step[0] ?? 0), 0), rows.length - 1),
        column: Math.min(Math.max(at.column + (step[1] ?? 0), 0), columns.length - 1),
      }
      setCursor(next)
      vertical.scrollToIndex(next.row)
    }
    event.preventDefault()
  }
  return (
    <>
      <div className="tools">
        <Search text={search} change={(text) => void navigate({ search: (old) => ({ ...old, search: text }), replace: true })} label="Search tasks" />
        <Legend />
      </div>
      <div
        className="grid-sheet"
        ref={scroll}
        role="grid"
        aria-label={`Runs of ${dagId} by tasks`}
        aria-rowcount={rows.length}
        aria-colcount={columns.length + 1}
        aria-activedescendant={cursor ? `cell-${cursor.row}-${cursor.column}` : undefined}
        tabIndex={0}
        onKeyDown={pressed}
      >
        <div role="row" className="grid-head">
          <span role="columnheader" className="grid-name muted">
            {data.tasks.length} tasks, {columns.length} runs
          </span>
          {columns.map((run) => (
            <Bar key={run.run_key} run={run} longest={longest(columns)} chosen={run.run_key === chosen} />
          ))}
        </div>
        <Rows vertical={vertical} rows={rows} columns={columns} data={data} cursor={cursor} open={open} toggle={toggle} folded={folded} />
      </div>
      <p className="visually-hidden" role="status">
        {cursor && spoken(rows[cursor.row], columns[cursor.column])}
      </p>
    </>
  )
}

type RowsProps = {
  vertical: ReturnType<typeof useVirtualizer<HTMLDivElement, Element>>
  rows: Row[]
  columns: GridData['runs']
  data: GridData
  cursor: { row: number; column: number } | undefined
  open: (row: Row | undefined, column: number) => void
  toggle: (group: string) => void
  folded: ReadonlySet<string>
}

function Rows({ vertical, rows, columns, cursor, open, toggle, folded }: RowsProps) {
  const shown = vertical.getVirtualItems()
  const before = shown[0]?.start ?? 0
  const after = vertical.getTotalSize() - (shown.at(-1)?.end ?? 0)
  return (
    <>
      <Gap height={before} />
      {shown.map(({ index }) => {
        const row = rows[index]
        if (!row) return null
        return (
          <div role="row" className="grid-row" key={row.key} aria-rowindex={index + 1}>
            <span role="rowheader" className={`grid-name depth-${Math.min(row.depth, 6)}`} title={row.title}>
              {row.kind === 'group' ? (
                <button type="button" className="fold" tabIndex={-1} aria-expanded={!folded.has(row.group)} onClick={() => toggle(row.group)}>
                  {row.name} <span className="muted">{row.places.length}</span>
                </button>
              ) : (
                <>
                  {row.name}
                  {row.task.mapped && <span className="muted"> [ ]</span>}
                </>
              )}
            </span>
            {columns.map((run, column) => {
              const state = cellOf(run.states, row)
              const isCursor = cursor?.row === index && cursor.column === column
              return (
                <span
                  role="gridcell"
                  key={run.run_key}
                  id={`cell-${index}-${column}`}
                  className={isCursor ? 'grid-cell is-cursor' : 'grid-cell'}
                  aria-label={state ? `${row.title}, ${run.run_id}: ${state}` : undefined}
                  title={state && `${row.title} · ${run.run_id} · ${state.replaceAll('_', ' ')}`}
                  onClick={() => open(row, column)}
                >
                  {state && <StateIcon state={state} size={14} />}
                </span>
              )
            })}
          </div>
        )
      })}
      <Gap height={after} />
    </>
  )
}

/** Stands for the rows that are not drawn. */
const Gap = ({ height }: { height: number }) => (height > 0 ? <div style={{ height }} aria-hidden="true" /> : null)

const seconds = (run: GridData['runs'][number]) =>
  run.started_at ? ((run.ended_at ? Date.parse(run.ended_at) : Date.now()) - Date.parse(run.started_at)) / 1000 : 0
const longest = (runs: GridData['runs']) => Math.max(1, ...runs.map(seconds))

function Bar({ run, longest, chosen }: { run: GridData['runs'][number]; longest: number; chosen: boolean }) {
  const zone = useZone()
  const words = `${run.run_id}, ${formatTime(run.logical_date, zone)}, ${run.state}, ${formatSeconds(seconds(run))}`
  const height = Math.max(2, (seconds(run) / longest) * (BARS - 18))
  return (
    <Link
      role="columnheader"
      to="/runs/$runKey"
      params={{ runKey: run.run_key }}
      className={chosen ? 'grid-bar is-chosen' : 'grid-bar'}
      title={words}
      aria-label={words}
      tabIndex={-1}
    >
      <svg width={CELL - 8} height={BARS} className={`is-${run.state}`} aria-hidden="true">
        <rect x={2} y={BARS - 16 - height} width={CELL - 12} height={height} rx={2} className="shape-fill" />
        <use href={`#state-${run.state}`} x={1} y={BARS - 13} width={12} height={12} />
      </svg>
    </Link>
  )
}

function spoken(row: Row | undefined, run: GridData['runs'][number] | undefined) {
  if (!row || !run) return ''
  return `${row.title}, ${run.run_id}: ${cellOf(run.states, row) ?? 'not in this version'}`
}

function Legend() {
  return (
    <details className="legend">
      <summary>States</summary>
      <ul>
        {STATES.map((state) => (
          <li key={state}>
            <StateIcon state={state} /> {state.replaceAll('_', ' ')}
          </li>
        ))}
      </ul>
    </details>
  )
}

