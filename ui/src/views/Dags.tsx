import { useInfiniteQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { ask, client, type Schemas } from '../api/client'
import { dags } from '../api/queries'
import { Empty, Failed, Loaded } from '../parts/Notice'
import { Scroll } from '../parts/Scroll'
import { Search } from '../parts/Search'
import { StateIcon } from '../parts/State'
import { Ago, formatSeconds } from '../parts/Time'
import { Trigger } from '../parts/Trigger'
import { useAction } from '../parts/useAction'
import { dagsRoute } from '../router'

type DagSummary = Schemas['DagSummary']

export function Dags() {
  const filter = dagsRoute.useSearch()
  const navigate = useNavigate({ from: dagsRoute.fullPath })
  const set = (change: Partial<typeof filter>) => void navigate({ search: (old) => ({ ...old, ...change }), replace: true })
  const paused = filter.paused === undefined ? undefined : filter.paused === 'true'
  const query = useInfiniteQuery(dags({ search: filter.search, team: filter.team, tag: filter.tag, paused }))
  const [trigger, setTrigger] = useState<string>()
  const found = query.data?.pages.flatMap((page) => page.items)
  return (
    <>
      <div className="view-head">
        <h1>DAGs</h1>
        <Search text={filter.search} change={(search) => set({ search })} label="Search DAGs" />
        <label>
          <span className="visually-hidden">Paused or active</span>
          <select value={filter.paused ?? ''} onChange={(event) => set({ paused: event.target.value || undefined })}>
            <option value="">Active and paused</option>
            <option value="false">Active</option>
            <option value="true">Paused</option>
          </select>
        </label>
        {filter.team && (
          <button type="button" className="chip" onClick={() => set({ team: undefined })}>
            team {filter.team} ✕
          </button>
        )}
        {filter.tag && (
          <button type="button" className="chip" onClick={() => set({ tag: undefined })}>
            #{filter.tag} ✕
          </button>
        )}
      </div>
      <Loaded query={{ ...query, data: found }}>
        {(items) =>
          items.length === 0 ? (
            <Empty title="No DAG fits">
              Deploy one with <code>towpath dag apply FILE</code>, or change the filters.
            </Empty>
          ) : (
            <Scroll label="DAGs">
              <table className="list">
                <thead>
                  <tr>
                    <th scope="col">Active</th>
                    <th scope="col">DAG</th>
                    <th scope="col">Last runs</th>
                    <th scope="col">Schedule</th>
                    <th scope="col">Next run</th>
                    <th scope="col">
                      <span className="visually-hidden">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((dag) => (
                    <Row key={dag.dag_id} dag={dag} choose={set} trigger={() => setTrigger(dag.dag_id)} />
                  ))}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Loaded>
      {query.hasNextPage && (
        <button type="button" onClick={() => void query.fetchNextPage()} disabled={query.isFetchingNextPage}>
          More
        </button>
      )}
      {trigger && <Trigger dagId={trigger} close={() => setTrigger(undefined)} />}
    </>
  )
}

type Choose = (filter: { team?: string; tag?: string }) => void

function Row({ dag, choose, trigger }: { dag: DagSummary; choose: Choose; trigger: () => void }) {
  return (
    <tr>
      <td>
        <PauseSwitch dagId={dag.dag_id} paused={dag.paused} />
      </td>
      <td>
        <Link to="/dags/$dagId" params={{ dagId: dag.dag_id }} className="strong">
          {dag.dag_id}
        </Link>
        {dag.description && <div className="muted clamp">{dag.description}</div>}
        <div className="chips">
          {dag.team && (
            <button type="button" className="chip" onClick={() => choose({ team: dag.team ?? undefined })}>
              {dag.team}
            </button>
          )}
          {dag.tags.map((tag) => (
            <button type="button" className="chip" key={tag} onClick={() => choose({ tag })}>
              #{tag}
            </button>
          ))}
        </div>
      </td>
      <td>
        <Strip runs={dag.recent_runs} />
      </td>
      <td>
        <code>{dag.schedule}</code>
        {dag.timezone !== 'UTC' && <div className="muted">{dag.timezone}</div>}
      </td>
      <td>
        <Ago at={dag.next_run} />
      </td>
      <td>
        <button type="button" onClick={trigger}>
          Trigger<span className="visually-hidden"> {dag.dag_id}</span>
        </button>
      </td>
    </tr>
  )
}

/** The last runs, the oldest first: how long each took, and how it ended. */
function Strip({ runs }: { runs: DagSummary['recent_runs'] }) {
  const longest = Math.max(1, ...runs.map((run) => run.duration_seconds ?? 0))
  return (
    <span className="strip">
      {runs.toReversed().map((run) => {
        const tall = Math.round((run.duration_seconds ?? 0) / longest * 5)
        const words = `${run.run_id}: ${run.state}${run.duration_seconds ? `, ${formatSeconds(run.duration_seconds)}` : ''}`
        return (
          <Link key={run.run_key} to="/runs/$runKey" params={{ runKey: run.run_key }} title={words} aria-label={words} className={`strip-run is-${run.state}`}>
            <span className={`strip-bar tall-${tall}`} />
            <StateIcon state={run.state} size={12} />
          </Link>
        )
      })}
    </span>
  )
}

export function PauseSwitch({ dagId, paused }: { dagId: string; paused: boolean }) {
  const pause = useAction((next: boolean) =>
    ask(client.PATCH('/api/v1/dags/{dag_id}', { params: { path: { dag_id: dagId } }, body: { paused: next } })),
  )
  const shown = pause.isPending ? pause.variables : paused
  return (
    <>
      <button
        type="button"
        role="switch"
        aria-checked={!shown}
        aria-label={`${dagId} is active`}
        className="switch"
        onClick={() => pause.mutate(!paused)}
      >
        <span />
      </button>
      {pause.error && <Failed error={pause.error} />}
    </>
  )
}
