// When the instances of a run waited and ran.
import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useMemo, useRef, useState } from 'react'
import type { Schemas } from '../../api/client'
import { instances, run, runs } from '../../api/queries'
import { Empty, Loaded } from '../../parts/Notice'
import { StateIcon } from '../../parts/State'
import { formatSeconds } from '../../parts/Time'
import { useEveryPage } from '../../parts/useEveryPage'
import { dagRoute } from '../../router'

type TaskInstance = Schemas['TaskInstance']

const ROW = 26

export function DagGantt({ dagId }: { dagId: string }) {
  const { run: chosen } = dagRoute.useSearch()
  const latest = useInfiniteQuery(runs({ dag_id: dagId }, 1))
  const first = chosen ?? latest.data?.pages[0]?.items[0]?.run_key
  if (!first) return latest.isPending ? null : <Empty title="There are no runs yet">Trigger one, or wait for the schedule.</Empty>
  return <RunGantt runKey={first} />
}

export function RunGantt({ runKey }: { runKey: string }) {
  const of = useQuery(run(runKey))
  const query = useInfiniteQuery(instances(runKey))
  useEveryPage(query)
  const items = query.data?.pages.flatMap((page) => page.items)
  return (
    <Loaded query={of}>
      {(found) => <Loaded query={{ ...query, data: items }}>{(list) => <Chart run={found} items={list} />}</Loaded>}
    </Loaded>
  )
}

function Chart({ run, items }: { run: Schemas['Run']; items: TaskInstance[] }) {
  const scroll = useRef<HTMLDivElement>(null)
  const [now, setNow] = useState(() => Date.now())
  const going = !run.ended_at
  useEffect(() => {
    if (!going) return
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [going])
  const begun = useMemo(
    () =>
      items
        .filter((item) => item.queued_at ?? item.started_at)
        .sort((a, b) => Date.parse(a.queued_at ?? a.started_at ?? '') - Date.parse(b.queued_at ?? b.started_at ?? '')),
    [items],
  )
  const rows = useVirtualizer({ count: begun.length, getScrollElement: () => scroll.current, estimateSize: () => ROW, overscan: 10 })
  if (begun.length === 0) return <Empty title="Nothing has begun yet">Tasks appear here when they are queued.</Empty>
  const from = Math.min(...begun.map((item) => Date.parse(item.queued_at ?? item.started_at ?? '')))
  const to = Math.max(from + 1000, going ? now : 0, ...begun.map((item) => Date.parse(item.ended_at ?? item.started_at ?? item.queued_at ?? '')))
  const place = (at: number) => ((at - from) / (to - from)) * 1000
  const shown = rows.getVirtualItems()
  return (
    <div className="gantt" ref={scroll} tabIndex={0} role="region" aria-label={`When the tasks of ${run.run_id} ran`}>
      <div className="gantt-head">
        <span className="gantt-name muted">{begun.length} instances</span>
        <span className="gantt-scale muted">
          <span>0</span>
          <span>{formatSeconds((to - from) / 2000)}</span>
          <span>{formatSeconds((to - from) / 1000)}</span>
        </span>
      </div>
      <div style={{ height: shown[0]?.start ?? 0 }} />
      {shown.map(({ index }) => {
        const item = begun[index]
        return item ? <Bar key={index} item={item} place={place} now={now} /> : null
      })}
      <div style={{ height: rows.getTotalSize() - (shown.at(-1)?.end ?? 0) }} />
    </div>
  )
}

function Bar({ item, place, now }: { item: TaskInstance; place: (at: number) => number; now: number }) {
  const queued = Date.parse(item.queued_at ?? item.started_at ?? '')
  const started = item.started_at ? Date.parse(item.started_at) : undefined
  const ended = item.ended_at ? Date.parse(item.ended_at) : now
  const name = item.map_index < 0 ? item.task_id : `${item.task_id}[${item.map_index}]`
  const waited = formatSeconds(((started ?? ended) - queued) / 1000)
  const ran = started === undefined ? '' : `, ran ${formatSeconds((ended - started) / 1000)}`
  const words = `${name}: ${item.state.replaceAll('_', ' ')}, waited ${waited}${ran}`
  return (
    <div className="gantt-row">
      <Link
        className="gantt-name"
        to="/runs/$runKey/tasks/$taskId"
        params={{ runKey: item.run_key, taskId: item.task_id }}
        search={item.map_index < 0 ? {} : { map: item.map_index }}
        title={words}
      >
        <StateIcon state={item.state} size={14} /> {name}
      </Link>
      <svg className={`gantt-bar is-${item.state}`} viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label={words}>
        <rect x={place(queued)} y={8} width={Math.max(1, place(started ?? ended) - place(queued))} height={4} className="gantt-wait" />
        {started !== undefined && (
          <rect x={place(started)} y={3} width={Math.max(2, place(ended) - place(started))} height={14} className="shape-fill" />
        )}
      </svg>
    </div>
  )
}
