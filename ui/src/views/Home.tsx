import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useEffect, useMemo, useState, type ReactNode } from 'react'
import type { Schemas } from '../api/client'
import { fleet, live, notifications, runs } from '../api/queries'
import { Empty, Loaded } from '../parts/Notice'
import { StateIcon } from '../parts/State'
import { Ago, Duration, formatTime, Time } from '../parts/Time'
import { useZone } from '../parts/settings'

const HOURS = 24
const HOUR = 3_600_000
const MINUTE = 60_000

/** To the minute, so that the answers of one minute are kept under one key. */
const dayAgo = () => new Date(Math.ceil((Date.now() - HOURS * HOUR) / MINUTE) * MINUTE).toISOString()

export function Home() {
  const [since, setSince] = useState(dayAgo)
  useEffect(() => {
    const timer = setInterval(() => setSince(dayAgo()), MINUTE)
    return () => clearInterval(timer)
  }, [])
  return (
    <>
      <h1>Home</h1>
      <Timeline since={since} />
      <div className="columns">
        <Running />
        <FailedRuns since={since} />
        <Late />
        <Fleet />
      </div>
    </>
  )
}

function Panel({ title, more, children }: { title: string; more?: ReactNode; children: ReactNode }) {
  return (
    <section className="panel">
      <header>
        <h2>{title}</h2>
        {more}
      </header>
      {children}
    </section>
  )
}

/** Runs of the last day by the hour in which they ended, and those that go on. */
function Timeline({ since }: { since: string }) {
  const zone = useZone()
  const ended = useInfiniteQuery(runs({ ended_since: since }, 1000))
  const going = useInfiniteQuery(runs({ state: 'running' }, 1000))
  const from = Date.parse(since)
  const buckets = useMemo(() => {
    const hours = Array.from({ length: HOURS }, () => ({ success: 0, failed: 0 }))
    for (const run of ended.data?.pages.flatMap((page) => page.items) ?? []) {
      const hour = hours[Math.floor((Date.parse(run.ended_at ?? '') - from) / HOUR)]
      if (hour) hour[run.state === 'failed' ? 'failed' : 'success'] += 1
    }
    return hours
  }, [ended.data, from])
  const highest = Math.max(1, ...buckets.map((hour) => hour.success + hour.failed))
  const sum = (key: 'success' | 'failed') => buckets.reduce((all, hour) => all + hour[key], 0)
  const running = going.data?.pages[0]?.items.length ?? 0
  const words = `${running} running, ${sum('success')} succeeded and ${sum('failed')} failed in the last day`
  return (
    <Panel title="The last day" more={<span className="muted">{words}</span>}>
      <svg className="timeline" viewBox={`0 0 ${HOURS * 20} 84`} role="img" aria-label={words} preserveAspectRatio="none">
        {buckets.map((hour, index) => {
          const good = (hour.success / highest) * 70
          const bad = (hour.failed / highest) * 70
          const at = formatTime(new Date(from + index * HOUR), zone, false)
          return (
            <g key={index}>
              <rect x={index * 20 + 2} y={80 - good} width={16} height={good} className="shape-fill is-success" />
              <rect x={index * 20 + 2} y={80 - good - bad} width={16} height={bad} className="shape-fill is-failed hatched" />
              <rect x={index * 20} y={0} width={20} height={84} className="hover">
                <title>
                  from {at}: {hour.success} succeeded, {hour.failed} failed
                </title>
              </rect>
            </g>
          )
        })}
        <line x1={0} x2={HOURS * 20} y1={80.5} y2={80.5} className="axis" />
      </svg>
    </Panel>
  )
}

function Running() {
  const query = useQuery(live('running', 10))
  return (
    <Panel title="Running now" more={<Link to="/queue">What waits</Link>}>
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="Nothing runs">Tasks appear here while they run.</Empty>
          ) : (
            <ul className="lines">
              {items.map((one) => (
                <li key={`${one.run_key} ${one.task_id} ${one.map_index}`}>
                  <StateIcon state={one.state} />
                  <Link to="/runs/$runKey/tasks/$taskId" params={{ runKey: one.run_key, taskId: one.task_id }} search={one.map_index < 0 ? {} : { map: one.map_index }}>
                    {one.dag_id} · {one.task_id}
                    {one.map_index >= 0 && `[${one.map_index}]`}
                  </Link>
                  <span className="muted">
                    <Duration from={one.started_at} to={undefined} /> on {one.worker}
                  </span>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Panel>
  )
}

function FailedRuns({ since }: { since: string }) {
  const query = useInfiniteQuery(runs({ state: 'failed', ended_since: since }, 10))
  return (
    <Panel
      title="Failed in the last day"
      more={
        <Link to="/runs" search={{ state: 'failed' }}>
          All
        </Link>
      }
    >
      <Loaded query={{ ...query, data: query.data?.pages[0]?.items }}>
        {(items) => (items.length === 0 ? <Empty title="Nothing has failed" /> : <RunLines runs={items} />)}
      </Loaded>
    </Panel>
  )
}

function RunLines({ runs }: { runs: Schemas['Run'][] }) {
  return (
    <ul className="lines">
      {runs.map((run) => (
        <li key={run.run_key}>
          <StateIcon state={run.state} />
          <Link to="/runs/$runKey" params={{ runKey: run.run_key }} className="break">
            {run.dag_id} · {run.run_id}
          </Link>
          <span className="muted">
            <Ago at={run.ended_at} />
          </span>
        </li>
      ))}
    </ul>
  )
}

function Late() {
  const query = useQuery(notifications)
  return (
    <Panel title="Late, and who was told">
      <Loaded query={query}>
        {({ items }) => {
          const late = items.filter((one) => one.occasion === 'deadline' || one.state === 'undeliverable').slice(0, 10)
          return late.length === 0 ? (
            <Empty title="Nothing is late">Runs past their deadline appear here.</Empty>
          ) : (
            <ul className="lines">
              {late.map((one) => (
                <li key={one.key}>
                  <Link to="/runs/$runKey" params={{ runKey: one.run_key }}>
                    {one.occasion.replace('on_', '')}: {one.state}
                  </Link>
                  <span className="muted">
                    <Time at={one.at} /> {one.error}
                  </span>
                </li>
              ))}
            </ul>
          )
        }}
      </Loaded>
    </Panel>
  )
}

function Fleet() {
  const query = useQuery(fleet)
  return (
    <Panel title="Workers" more={<Link to="/workers">All</Link>}>
      <Loaded query={query}>
        {(found) => {
          const alive = found.workers.filter((worker) => worker.alive)
          const slots = alive.reduce((sum, worker) => sum + worker.slots, 0)
          const running = alive.reduce((sum, worker) => sum + worker.running, 0)
          return (
            <>
              {!found.leader && <p className="warning">No scheduler leads: nothing new starts. Is one running?</p>}
              {alive.length === 0 ? (
                <Empty title="No worker is alive">
                  Start one with <code>towpath worker</code>.
                </Empty>
              ) : (
                <>
                  <p>
                    {running} of {slots} slots taken on {alive.length} {alive.length === 1 ? 'worker' : 'workers'}
                  </p>
                  <meter min={0} max={slots} value={running} aria-label="Slots taken" />
                </>
              )}
            </>
          )
        }}
      </Loaded>
    </Panel>
  )
}
