// How long runs took, one after another.
import { useInfiniteQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import type { Schemas } from '../../api/client'
import { runs } from '../../api/queries'
import { Empty, Loaded } from '../../parts/Notice'
import { State } from '../../parts/State'
import { formatSeconds, Time } from '../../parts/Time'

type Run = Schemas['Run']

const HEIGHT = 220
const STEP = 12

const took = (run: Run) => (run.started_at && run.ended_at ? (Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1000 : 0)
const waited = (run: Run) => (run.started_at ? (Date.parse(run.started_at) - Date.parse(run.queued_at)) / 1000 : 0)

export function Durations({ dagId }: { dagId: string }) {
  const query = useInfiniteQuery(runs({ dag_id: dagId, state: 'success,failed' }, 100))
  return (
    <Loaded query={{ ...query, data: query.data?.pages.flatMap((page) => page.items) }}>
      {(items) => (items.length === 0 ? <Empty title="No run has ended yet">Durations appear when runs end.</Empty> : <Chart runs={items.toReversed()} />)}
    </Loaded>
  )
}

function Chart({ runs }: { runs: Run[] }) {
  const longest = Math.max(0.1, ...runs.map((run) => took(run) + waited(run)))
  const sorted = runs.map(took).sort((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0
  const y = (seconds: number) => (seconds / longest) * (HEIGHT - 20)
  return (
    <>
      <p>
        {runs.length} runs; median {formatSeconds(median)}, longest {formatSeconds(sorted.at(-1) ?? 0)}.
      </p>
      <div className="scroll" tabIndex={0} role="region" aria-label="Durations as bars">
        <svg width={runs.length * STEP + 20} height={HEIGHT} role="img" aria-label={`Durations of ${runs.length} runs; median ${formatSeconds(median)}`}>
          <line x1={0} x2={runs.length * STEP + 20} y1={HEIGHT - y(median)} y2={HEIGHT - y(median)} className="median" />
          {runs.map((run, index) => (
            <g key={run.run_key} className={`is-${run.state}`}>
              <rect x={index * STEP + 4} width={STEP - 4} y={HEIGHT - y(took(run))} height={Math.max(1, y(took(run)))} className="shape-fill" />
              <rect x={index * STEP + 4} width={STEP - 4} y={HEIGHT - y(took(run) + waited(run))} height={y(waited(run))} className="gantt-wait" />
              <title>
                {run.run_id}: {formatSeconds(took(run))}, waited {formatSeconds(waited(run))}
              </title>
            </g>
          ))}
        </svg>
      </div>
      <details>
        <summary>As a table</summary>
        <table className="list">
          <thead>
            <tr>
              <th scope="col">Run</th>
              <th scope="col">State</th>
              <th scope="col">Logical date</th>
              <th scope="col">Waited</th>
              <th scope="col">Took</th>
            </tr>
          </thead>
          <tbody>
            {runs.toReversed().map((run) => (
              <tr key={run.run_key}>
                <td>
                  <Link to="/runs/$runKey" params={{ runKey: run.run_key }}>
                    {run.run_id}
                  </Link>
                </td>
                <td>
                  <State state={run.state} />
                </td>
                <td>
                  <Time at={run.logical_date} />
                </td>
                <td>{formatSeconds(waited(run))}</td>
                <td>{formatSeconds(took(run))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </>
  )
}
