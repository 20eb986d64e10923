import { useInfiniteQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import type { Schemas } from '../api/client'
import { runs } from '../api/queries'
import { Empty, Loaded } from '../parts/Notice'
import { Scroll } from '../parts/Scroll'
import { Search } from '../parts/Search'
import { State } from '../parts/State'
import { Duration, Time } from '../parts/Time'
import { runsRoute } from '../router'

export function Runs() {
  const filter = runsRoute.useSearch()
  const navigate = useNavigate({ from: runsRoute.fullPath })
  const set = (change: Partial<typeof filter>) => void navigate({ search: (old) => ({ ...old, ...change }), replace: true })
  const query = useInfiniteQuery(runs(filter))
  const found = query.data?.pages.flatMap((page) => page.items)
  return (
    <>
      <div className="view-head">
        <h1>Runs</h1>
        <Search text={filter.search} change={(search) => set({ search })} label="Search run ids" />
        <Choice name="State" value={filter.state} options={['queued', 'running', 'success', 'failed']} change={(state) => set({ state })} />
        <Choice
          name="Type"
          value={filter.run_type}
          options={['scheduled', 'manual', 'backfill', 'asset_triggered']}
          change={(run_type) => set({ run_type })}
        />
        {filter.dag_id && (
          <button type="button" className="chip" onClick={() => set({ dag_id: undefined })}>
            {filter.dag_id} ✕
          </button>
        )}
      </div>
      <Loaded query={{ ...query, data: found }}>
        {(items) => (items.length === 0 ? <Empty title="No run fits">Trigger a DAG, or change the filters.</Empty> : <RunTable runs={items} />)}
      </Loaded>
      {query.hasNextPage && (
        <button type="button" onClick={() => void query.fetchNextPage()} disabled={query.isFetchingNextPage}>
          More
        </button>
      )}
    </>
  )
}

type ChoiceProps = { name: string; value: string | undefined; options: string[]; change: (value: string | undefined) => void }

export function Choice({ name, value, options, change }: ChoiceProps) {
  return (
    <label>
      <span className="visually-hidden">{name}</span>
      <select value={value ?? ''} onChange={(event) => change(event.target.value || undefined)}>
        <option value="">{name}: any</option>
        {options.map((option) => (
          <option key={option} value={option}>
            {option.replaceAll('_', ' ')}
          </option>
        ))}
      </select>
    </label>
  )
}

export function RunTable({ runs }: { runs: Schemas['Run'][] }) {
  return (
    <Scroll label="Runs">
      <table className="list">
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">DAG</th>
            <th scope="col">Run</th>
            <th scope="col">Type</th>
            <th scope="col">Logical date</th>
            <th scope="col">Started</th>
            <th scope="col">Took</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.run_key}>
              <td>
                <State state={run.state} />
              </td>
              <td>
                <Link to="/dags/$dagId" params={{ dagId: run.dag_id }}>
                  {run.dag_id}
                </Link>
              </td>
              <td className="break">
                <Link to="/runs/$runKey" params={{ runKey: run.run_key }}>
                  {run.run_id}
                </Link>
              </td>
              <td>{run.run_type.replaceAll('_', ' ')}</td>
              <td>
                <Time at={run.logical_date} />
              </td>
              <td>
                <Time at={run.started_at} seconds />
              </td>
              <td>
                <Duration from={run.started_at} to={run.ended_at} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  )
}
