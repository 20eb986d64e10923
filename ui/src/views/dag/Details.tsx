import { useQuery } from '@tanstack/react-query'
import { dag, nextRuns } from '../../api/queries'
import { Facts } from '../../parts/Facts'
import { Empty, Loaded } from '../../parts/Notice'
import { formatSeconds, Time } from '../../parts/Time'

export function Details({ dagId }: { dagId: string }) {
  const query = useQuery(dag(dagId))
  const coming = useQuery(nextRuns(dagId))
  return (
    <Loaded query={query}>
      {(found) => (
        <div className="columns">
          <section>
            <h2>Settings</h2>
            <Facts
              facts={{
                Team: found.team ?? 'none',
                Tags: found.tags.join(', ') || 'none',
                Version: <code>{found.version.slice(0, 12)}</code>,
                Schedule: <code>{found.schedule}</code>,
                Timezone: found.timezone,
                'Start date': <Time at={found.start_date} />,
                'End date': <Time at={found.end_date} />,
                Catchup: found.catchup ? 'yes' : 'no',
                'Runs at once': found.max_active_runs,
                'Tasks at once, in all runs': found.max_active_tasks_per_dag ?? 'no limit',
                'Tasks at once, in one run': found.max_active_tasks_per_run ?? 'no limit',
                'Run timeout': found.dagrun_timeout_seconds ? formatSeconds(found.dagrun_timeout_seconds) : 'none',
                'Failed in a row': found.failed_in_a_row,
                'Your role': found.role,
              }}
            />
          </section>
          <section>
            <h2>Next runs</h2>
            <Loaded query={coming}>
              {({ items }) =>
                items.length === 0 ? (
                  <Empty title="No scheduled run to come" />
                ) : (
                  <table className="list">
                    <thead>
                      <tr>
                        <th scope="col">Due</th>
                        <th scope="col">Covers from</th>
                        <th scope="col">to</th>
                      </tr>
                    </thead>
                    <tbody>
                      {items.map((run) => (
                        <tr key={run.due_at}>
                          <td>
                            <Time at={run.due_at} />
                          </td>
                          <td>
                            <Time at={run.data_interval_start} />
                          </td>
                          <td>
                            <Time at={run.data_interval_end} />
                          </td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                )
              }
            </Loaded>
          </section>
          <section>
            <h2>Params</h2>
            <pre className="code" tabIndex={0}>
              {JSON.stringify(found.params_schema, null, 2)}
            </pre>
          </section>
        </div>
      )}
    </Loaded>
  )
}
