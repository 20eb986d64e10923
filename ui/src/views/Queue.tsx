import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { ask, client, type Schemas } from '../api/client'
import { live } from '../api/queries'
import { Empty, Failed, Loaded } from '../parts/Notice'
import { Scroll } from '../parts/Scroll'
import { State } from '../parts/State'
import { Ago } from '../parts/Time'

const WAITING = 'scheduled,queued,up_for_retry,deferred,up_for_reschedule'

export function Queue() {
  const query = useQuery(live(WAITING, 200))
  return (
    <>
      <div className="view-head">
        <h1>Queue</h1>
        <span className="muted">What waits, the longest first</span>
      </div>
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="Nothing waits">Tasks that wait for a slot, a limit, a time or something outside appear here.</Empty>
          ) : (
            <Scroll label="What waits">
              <table className="list">
                <thead>
                  <tr>
                    <th scope="col">State</th>
                    <th scope="col">Task</th>
                    <th scope="col">Run</th>
                    <th scope="col">Since</th>
                    <th scope="col">For what</th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((one) => (
                    <Row key={`${one.run_key} ${one.task_id} ${one.map_index}`} one={one} />
                  ))}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Loaded>
    </>
  )
}

function Row({ one }: { one: Schemas['LiveInstance'] }) {
  return (
    <tr>
      <td>
        <State state={one.state} />
      </td>
      <td>
        <Link to="/runs/$runKey/tasks/$taskId" params={{ runKey: one.run_key, taskId: one.task_id }} search={one.map_index < 0 ? {} : { map: one.map_index }}>
          {one.task_id}
          {one.map_index >= 0 && `[${one.map_index}]`}
        </Link>
      </td>
      <td className="break">
        <Link to="/runs/$runKey" params={{ runKey: one.run_key }}>
          {one.dag_id} · {one.run_id}
        </Link>
      </td>
      <td>
        <Ago at={one.waiting_since ?? one.queued_at} />
      </td>
      <td>
        <Why one={one} />
      </td>
    </tr>
  )
}

/** Asked for one by one: the answer looks at all limits. */
function Why({ one }: { one: Schemas['LiveInstance'] }) {
  const [asked, setAsked] = useState(false)
  const query = useQuery({
    queryKey: ['instance', one.run_key, one.task_id, one.map_index, 'why'],
    queryFn: () =>
      ask(
        client.GET('/api/v1/runs/{run_key}/tasks/{task_id}/why', {
          params: { path: { run_key: one.run_key, task_id: one.task_id }, query: { map_index: one.map_index } },
        }),
      ),
    enabled: asked,
  })
  if (query.error) return <Failed error={query.error} />
  if (query.data) return <>{query.data.why}</>
  return (
    <button type="button" onClick={() => setAsked(true)}>
      Why?
    </button>
  )
}
