import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { fleet, live } from '../api/queries'
import { ask, client, type Schemas } from '../api/client'
import { Empty, Failed, Loaded } from '../parts/Notice'
import { Scroll } from '../parts/Scroll'
import { Ago, Duration } from '../parts/Time'
import { useAction } from '../parts/useAction'

function standing(worker: Schemas['Worker']) {
  if (!worker.alive) return '○ silent'
  if (!worker.draining) return '● alive'
  return worker.running > 0 ? '◐ draining' : '◌ drained'
}

export function Workers() {
  const query = useQuery(fleet)
  const running = useQuery(live('running', 1000))
  const patch = useAction(({ worker, draining }: { worker: string; draining: boolean }) =>
    ask(client.PATCH('/api/v1/workers/{worker}', { params: { path: { worker } }, body: { draining } })),
  )
  return (
    <>
      <div className="view-head">
        <h1>Workers</h1>
      </div>
      {patch.error && <Failed error={patch.error} />}
      <Loaded query={query}>
        {(found) => (
          <>
            <p>{found.leader ? <>The scheduler {found.leader} leads.</> : <span className="warning">No scheduler leads: nothing new starts.</span>}</p>
            {found.workers.length === 0 ? (
              <Empty title="There is no worker">
                Start one with <code>towpath worker</code>.
              </Empty>
            ) : (
              <Scroll label="Workers">
                <table className="list">
                  <thead>
                    <tr>
                      <th scope="col">Worker</th>
                      <th scope="col">Alive</th>
                      <th scope="col">Queues</th>
                      <th scope="col">Slots</th>
                      <th scope="col">Counts as alive until</th>
                      <th scope="col">Runs</th>
                      <th scope="col">
                        <span className="visually-hidden">Actions</span>
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {found.workers.map((worker) => (
                      <tr key={worker.worker}>
                        <td className="strong">{worker.worker}</td>
                        <td>{standing(worker)}</td>
                        <td>{worker.queues.join(', ')}</td>
                        <td>
                          {worker.running} of {worker.slots} <meter min={0} max={worker.slots} value={worker.running} aria-label={`Slots of ${worker.worker}`} />
                        </td>
                        <td>
                          <Ago at={worker.lease_until} />
                        </td>
                        <td>
                          {(running.data?.items ?? [])
                            .filter((one) => one.worker === worker.worker)
                            .slice(0, 8)
                            .map((one) => (
                              <div key={`${one.run_key} ${one.task_id} ${one.map_index}`}>
                                <Link to="/runs/$runKey/tasks/$taskId" params={{ runKey: one.run_key, taskId: one.task_id }} search={one.map_index < 0 ? {} : { map: one.map_index }}>
                                  {one.dag_id} · {one.task_id}
                                </Link>{' '}
                                <span className="muted">
                                  <Duration from={one.started_at} to={undefined} />
                                </span>
                              </div>
                            ))}
                        </td>
                        <td className="row-actions">
                          <button type="button" disabled={patch.isPending} onClick={() => patch.mutate({ worker: worker.worker, draining: !worker.draining })}>
                            {worker.draining ? 'Resume' : 'Drain'}
                            <span className="visually-hidden"> {worker.worker}</span>
                          </button>
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </Scroll>
            )}
          </>
        )}
      </Loaded>
    </>
  )
}
