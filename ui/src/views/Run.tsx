import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useVirtualizer } from '@tanstack/react-virtual'
import { lazy, Suspense, useRef, useState } from 'react'
import { ask, client, type Schemas } from '../api/client'
import { instances, run } from '../api/queries'
import { ChangeDialog, type Wanted } from '../parts/ChangeDialog'
import { Facts } from '../parts/Facts'
import { Empty, Failed, Loaded } from '../parts/Notice'
import { State, StateIcon } from '../parts/State'
import { isEnded, STATES } from '../parts/states'
import { Duration, Time } from '../parts/Time'
import { useAction } from '../parts/useAction'
import { useEveryPage } from '../parts/useEveryPage'
import { runRoute } from '../router'
import { Choice } from './Runs'

const RunGraph = lazy(() => import('./dag/Graph').then((found) => ({ default: found.RunGraph })))
const RunGantt = lazy(() => import('./dag/Gantt').then((found) => ({ default: found.RunGantt })))

const TABS = ['tasks', 'graph', 'gantt', 'details']

export function Run() {
  const { runKey } = runRoute.useParams()
  const { tab = 'tasks' } = runRoute.useSearch()
  const query = useQuery(run(runKey))
  return (
    <Loaded query={query}>
      {(found) => (
        <>
          <Head run={found} />
          <nav className="tabs" aria-label="Parts of the run">
            {TABS.map((name) => (
              <Link key={name} from={runRoute.fullPath} to="." search={(old) => ({ ...old, tab: name })} aria-current={name === tab ? 'page' : undefined}>
                {name[0]?.toUpperCase() + name.slice(1)}
              </Link>
            ))}
          </nav>
          <Suspense fallback={<p className="loading muted">Loading …</p>}>
            {tab === 'graph' ? (
              <RunGraph dagId={found.dag_id} version={found.version} runKey={runKey} />
            ) : tab === 'gantt' ? (
              <RunGantt runKey={runKey} />
            ) : tab === 'details' ? (
              <Details run={found} />
            ) : (
              <Tasks runKey={runKey} />
            )}
          </Suspense>
        </>
      )}
    </Loaded>
  )
}

function Head({ run }: { run: Schemas['Run'] }) {
  const [wanted, setWanted] = useState<Wanted>()
  const cancel = useAction(() => ask(client.POST('/api/v1/runs/{run_key}/cancel', { params: { path: { run_key: run.run_key } } })))
  const ended = isEnded(run.state)
  return (
    <>
      <div className="view-head">
        <div>
          <p className="crumbs">
            <Link to="/dags/$dagId" params={{ dagId: run.dag_id }}>
              {run.dag_id}
            </Link>
          </p>
          <h1 className="break">{run.run_id}</h1>
        </div>
        <State state={run.state} />
        <span className="muted">
          <Duration from={run.started_at} to={run.ended_at} />
        </span>
        <span className="grow" />
        <button type="button" onClick={() => setWanted({ kind: 'clear', only_failed: true })}>
          Clear failed …
        </button>
        <button type="button" onClick={() => setWanted({ kind: 'clear' })}>
          Clear …
        </button>
        <button type="button" onClick={() => setWanted({ kind: 'mark' })}>
          Mark …
        </button>
        <button type="button" className="danger" disabled={ended || cancel.isPending} onClick={() => cancel.mutate(undefined)}>
          Cancel
        </button>
      </div>
      {cancel.error && <Failed error={cancel.error} />}
      <Counts run={run} />
      {wanted && <ChangeDialog runKey={run.run_key} wanted={wanted} close={() => setWanted(undefined)} />}
    </>
  )
}

function Counts({ run }: { run: Schemas['Run'] }) {
  const counts = Object.entries(run.counts ?? {})
  if (counts.length === 0) return null
  return (
    <p className="counts">
      {counts.map(([state, count]) => (
        <Link key={state} from={runRoute.fullPath} to="." search={(old) => ({ ...old, tab: 'tasks', state })} className={`state is-${state}`}>
          <StateIcon state={state} /> {count} {state.replaceAll('_', ' ')}
        </Link>
      ))}
    </p>
  )
}

function Tasks({ runKey }: { runKey: string }) {
  const search = runRoute.useSearch()
  const navigate = useNavigate({ from: runRoute.fullPath })
  const query = useInfiniteQuery(instances(runKey))
  useEveryPage(query)
  const all = query.data?.pages.flatMap((page) => page.items)
  const found = all?.filter((item) => !search.state || item.state === search.state)
  return (
    <>
      <div className="tools">
        <Choice name="State" value={search.state} options={STATES} change={(state) => void navigate({ search: (old) => ({ ...old, state }), replace: true })} />
      </div>
      <Loaded query={{ ...query, data: found }}>
        {(items) =>
          items.length === 0 ? (
            <Empty title="No instance fits">{search.state ? 'Choose another state.' : 'The run has not begun.'}</Empty>
          ) : (
            <InstanceTable items={items} />
          )
        }
      </Loaded>
    </>
  )
}

const ROW = 34

function InstanceTable({ items }: { items: Schemas['TaskInstance'][] }) {
  const scroll = useRef<HTMLDivElement>(null)
  const rows = useVirtualizer({ count: items.length, getScrollElement: () => scroll.current, estimateSize: () => ROW, overscan: 12 })
  const shown = rows.getVirtualItems()
  return (
    <div className="scroll tall" ref={scroll} tabIndex={0} role="region" aria-label="Task instances">
      <table className="list is-fixed">
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Task</th>
            <th scope="col">Attempt</th>
            <th scope="col">Started</th>
            <th scope="col">Took</th>
            <th scope="col">Worker</th>
            <th scope="col">Why it failed</th>
          </tr>
        </thead>
        <tbody>
          <tr style={{ height: shown[0]?.start ?? 0 }} aria-hidden="true" />
          {shown.map(({ index }) => {
            const item = items[index]
            if (!item) return null
            const mapped = item.map_index >= 0
            return (
              <tr key={`${item.task_id}[${item.map_index}]`}>
                <td>
                  <State state={item.state} />
                </td>
                <td>
                  <Link
                    to="/runs/$runKey/tasks/$taskId"
                    params={{ runKey: item.run_key, taskId: item.task_id }}
                    search={mapped ? { map: item.map_index } : {}}
                  >
                    {item.task_id}
                    {mapped && `[${item.map_index}]`}
                  </Link>
                </td>
                <td>{item.attempt || '–'}</td>
                <td>
                  <Time at={item.started_at} seconds />
                </td>
                <td>
                  <Duration from={item.started_at} to={isEnded(item.state) ? (item.ended_at ?? item.started_at) : item.ended_at} />
                </td>
                <td>{item.worker ?? '–'}</td>
                <td>
                  <div className="clamp">{item.failure?.message}</div>
                </td>
              </tr>
            )
          })}
          <tr style={{ height: rows.getTotalSize() - (shown.at(-1)?.end ?? 0) }} aria-hidden="true" />
        </tbody>
      </table>
    </div>
  )
}

function Details({ run }: { run: Schemas['Run'] }) {
  return (
    <div className="columns">
      <section>
        <h2>Facts</h2>
        <Facts
          facts={{
            Type: run.run_type.replaceAll('_', ' '),
            'Logical date': <Time at={run.logical_date} seconds />,
            'Data interval': (
              <>
                <Time at={run.data_interval_start} /> to <Time at={run.data_interval_end} />
              </>
            ),
            Queued: <Time at={run.queued_at} seconds />,
            Started: <Time at={run.started_at} seconds />,
            Ended: <Time at={run.ended_at} seconds />,
            Version: (
              <Link to="/dags/$dagId" params={{ dagId: run.dag_id }} search={{ tab: 'code', version: run.version }}>
                <code>{run.version.slice(0, 12)}</code>
              </Link>
            ),
            Cleared: `${run.clear_number} times`,
            Key: <code className="break">{run.run_key}</code>,
          }}
        />
      </section>
      <section>
        <h2>Params</h2>
        <pre className="code" tabIndex={0}>
          {JSON.stringify(run.params, null, 2)}
        </pre>
      </section>
    </div>
  )
}
