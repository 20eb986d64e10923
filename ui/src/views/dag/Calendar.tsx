// A year of runs, a square a day.
import { useInfiniteQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import type { Schemas } from '../../api/client'
import { runs } from '../../api/queries'
import { Empty, Loaded } from '../../parts/Notice'
import { StateIcon } from '../../parts/State'
import { useEveryPage } from '../../parts/useEveryPage'

type Run = Schemas['Run']

const DAY = 86_400_000
const ORDER = ['success', 'queued', 'running', 'failed']

export function Calendar({ dagId }: { dagId: string }) {
  const since = useMemo(() => new Date(Date.now() - 366 * DAY).toISOString(), [])
  const recent = useInfiniteQuery(runs({ dag_id: dagId, from: since }, 500))
  useEveryPage(recent)
  // Backfills of long ago have no runs in the last year: then the year of the latest one is shown.
  const any = useInfiniteQuery({ ...runs({ dag_id: dagId }, 500), enabled: recent.data?.pages[0]?.items.length === 0 })
  const shown = recent.data?.pages[0]?.items.length === 0 ? any : recent
  return (
    <Loaded query={{ ...shown, data: shown.data?.pages.flatMap((page) => page.items) }}>
      {(items) => (items.length === 0 ? <Empty title="There are no runs yet">Trigger one, or wait for the schedule.</Empty> : <Year items={items} />)}
    </Loaded>
  )
}

function Year({ items }: { items: Run[] }) {
  const days = useMemo(() => {
    const days = new Map<string, Run[]>()
    for (const run of items) {
      const day = run.logical_date.slice(0, 10)
      const list = days.get(day)
      if (list) list.push(run)
      else days.set(day, [run])
    }
    return days
  }, [items])
  const latest = [...days.keys()].sort().at(-1) ?? new Date().toISOString().slice(0, 10)
  const end = Date.parse(`${latest}T00:00:00Z`)
  const months = Array.from({ length: 12 }, (_, back) => {
    const date = new Date(end)
    return new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() - 11 + back, 1))
  })
  return (
    <div className="calendar">
      {months.map((month) => (
        <Month key={month.toISOString()} month={month} days={days} />
      ))}
    </div>
  )
}

function Month({ month, days }: { month: Date; days: Map<string, Run[]> }) {
  const count = new Date(Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1, 0)).getUTCDate()
  // Weeks begin on Monday.
  const blanks = (month.getUTCDay() + 6) % 7
  return (
    <section className="month">
      <h3>{month.toISOString().slice(0, 7)}</h3>
      <div className="month-days">
        {Array.from({ length: blanks }, (_, index) => (
          <span key={`blank-${index}`} />
        ))}
        {Array.from({ length: count }, (_, index) => {
          const day = `${month.toISOString().slice(0, 8)}${String(index + 1).padStart(2, '0')}`
          const found = days.get(day) ?? []
          const state = ORDER.findLast((one) => found.some((run) => run.state === one))
          const first = found.find((run) => run.state === state)
          if (!state || !first) return <span key={day} className="day" title={day} />
          const words = `${day}: ${found.length} ${found.length === 1 ? 'run' : 'runs'}, ${state}`
          return (
            <Link key={day} to="/runs/$runKey" params={{ runKey: first.run_key }} className={`day is-${state}`} title={words} aria-label={words}>
              <StateIcon state={state} size={14} />
            </Link>
          )
        })}
      </div>
    </section>
  )
}
