import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { lazy, Suspense, useState } from 'react'
import type { Schemas } from '../api/client'
import { instance, rendered } from '../api/queries'
import { ChangeDialog, type Wanted } from '../parts/ChangeDialog'
import { Facts } from '../parts/Facts'
import { Empty, Loaded } from '../parts/Notice'
import { Scroll } from '../parts/Scroll'
import { State, StateIcon } from '../parts/State'
import { isEnded } from '../parts/states'
import { Duration, Time } from '../parts/Time'
import { taskRoute } from '../router'

const LogView = lazy(() => import('../parts/LogView').then((found) => ({ default: found.LogView })))

const TABS = ['log', 'details', 'rendered']

export function Task() {
  const { runKey, taskId } = taskRoute.useParams()
  const { tab = 'log', map = -1 } = taskRoute.useSearch()
  const query = useQuery(instance(runKey, taskId, map))
  return (
    <Loaded query={query}>
      {(found) => (
        <>
          <Head found={found} />
          <nav className="tabs" aria-label="Parts of the task">
            {TABS.map((name) => (
              <Link key={name} from={taskRoute.fullPath} to="." search={(old) => ({ ...old, tab: name })} aria-current={name === tab ? 'page' : undefined}>
                {name[0]?.toUpperCase() + name.slice(1)}
              </Link>
            ))}
          </nav>
          <Suspense fallback={<p className="loading muted">Loading …</p>}>
            {tab === 'details' ? <Details found={found} /> : tab === 'rendered' ? <Rendered found={found} /> : <Log found={found} />}
          </Suspense>
        </>
      )}
    </Loaded>
  )
}

type Detail = Schemas['TaskInstanceDetail']

function Head({ found }: { found: Detail }) {
  const [wanted, setWanted] = useState<Wanted>()
  const name = found.map_index < 0 ? found.task_id : `${found.task_id}[${found.map_index}]`
  const map_index = found.map_index < 0 ? undefined : found.map_index
  return (
    <>
      <div className="view-head">
        <div>
          <p className="crumbs">
            <Link to="/dags/$dagId" params={{ dagId: found.dag_id }}>
              {found.dag_id}
            </Link>{' '}
            /{' '}
            <Link to="/runs/$runKey" params={{ runKey: found.run_key }} className="break">
              {found.run_id}
            </Link>
          </p>
          <h1>
            {name}
            {found.label && <span className="muted"> {found.label}</span>}
          </h1>
        </div>
        <State state={found.state} />
        <span className="muted">
          <Duration from={found.started_at} to={isEnded(found.state) ? (found.ended_at ?? found.started_at) : found.ended_at} />
        </span>
        <span className="grow" />
        <button type="button" onClick={() => setWanted({ kind: 'clear', task: found.task_id, map_index })}>
          Clear …
        </button>
        <button type="button" onClick={() => setWanted({ kind: 'mark', task: found.task_id, map_index })}>
          Mark …
        </button>
      </div>
      <p className="why">{found.why}</p>
      {wanted && <ChangeDialog runKey={found.run_key} wanted={wanted} close={() => setWanted(undefined)} />}
    </>
  )
}

function Log({ found }: { found: Detail }) {
  const { attempt, line, find } = taskRoute.useSearch()
  const navigate = useNavigate({ from: taskRoute.fullPath })
  if (found.attempt === 0) return <Empty title="It has not run yet">{found.why}</Empty>
  const shown = Math.min(attempt ?? found.attempt, found.attempt)
  return (
    <>
      {found.attempt > 1 && (
        <div className="tools" role="group" aria-label="Attempts">
          {found.attempts.map((one) => (
            <button
              type="button"
              key={one.attempt}
              aria-pressed={one.attempt === shown}
              onClick={() => void navigate({ search: (old) => ({ ...old, attempt: one.attempt, line: undefined }) })}
            >
              <StateIcon state={one.state} size={14} /> Attempt {one.attempt}
            </button>
          ))}
        </div>
      )}
      <LogView
        key={shown}
        runKey={found.run_key}
        taskId={found.task_id}
        mapIndex={found.map_index}
        attempt={shown}
        growing={shown === found.attempt && !isEnded(found.state)}
        line={line}
        find={find}
        choose={(line) => void navigate({ search: (old) => ({ ...old, line }), replace: true })}
        search={(find) => void navigate({ search: (old) => ({ ...old, find }), replace: true })}
      />
    </>
  )
}

function Details({ found }: { found: Detail }) {
  return (
    <div className="columns">
      <section>
        <h2>Attempts</h2>
        {found.attempts.length === 0 ? (
          <Empty title="None yet">{found.why}</Empty>
        ) : (
          <Scroll label="Attempts">
            <table className="list">
              <thead>
                <tr>
                  <th scope="col">Attempt</th>
                  <th scope="col">State</th>
                  <th scope="col">Worker</th>
                  <th scope="col">Started</th>
                  <th scope="col">Took</th>
                  <th scope="col">Exit code</th>
                  <th scope="col">Failure</th>
                </tr>
              </thead>
              <tbody>
                {found.attempts.map((one) => (
                  <tr key={one.attempt}>
                    <td>{one.attempt}</td>
                    <td>
                      <State state={one.state} />
                    </td>
                    <td>{one.worker ?? '–'}</td>
                    <td>
                      <Time at={one.started_at} seconds />
                    </td>
                    <td>
                      <Duration from={one.started_at} to={one.ended_at} />
                    </td>
                    <td>{one.failure?.exit_code ?? (one.state === 'success' ? 0 : '–')}</td>
                    <td>
                      {one.failure && (
                        <>
                          <code>{one.failure.class}</code> {one.failure.message}
                        </>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scroll>
        )}
      </section>
      {found.attempts.map((one) => one.container && <Container key={one.attempt} attempt={one.attempt} container={one.container} />)}
      <section>
        <h2>Outputs</h2>
        {Object.keys(found.outputs).length === 0 ? (
          <Empty title="It has passed nothing on">
            A task passes values on by writing <code>key=value</code> or JSON to the file <code>$TOWPATH_OUTPUT</code>.
          </Empty>
        ) : (
          <pre className="code" tabIndex={0}>
            {JSON.stringify(found.outputs, null, 2)}
          </pre>
        )}
      </section>
    </div>
  )
}

function Container({ attempt, container }: { attempt: number; container: Schemas['ContainerFacts'] }) {
  return (
    <section>
      <h2>Container of attempt {attempt}</h2>
      <Facts
        facts={{
          Name: <code className="break">{container.container}</code>,
          Image: <code className="break">{container.image}</code>,
          'Image id': <code className="break">{container.image_id}</code>,
          ...(container.image_digest && { 'Image digest': <code className="break">{container.image_digest}</code> }),
          'Exit code': container.exit_code ?? '–',
          'Killed for memory': container.oom_killed ? 'yes' : 'no',
          'Memory, at most': `${bytes(container.memory_peak_bytes)}${container.memory_limit_bytes ? ` of ${bytes(container.memory_limit_bytes)}` : ''}`,
          'Processor time': container.cpu_seconds == null ? 'not seen' : `${container.cpu_seconds.toFixed(2)} s`,
        }}
      />
    </section>
  )
}

function bytes(count: number | null | undefined): string {
  if (count == null) return 'not seen'
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = count > 0 ? Math.min(units.length - 1, Math.floor(Math.log2(count) / 10)) : 0
  return `${(count / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`
}

function Rendered({ found }: { found: Detail }) {
  const query = useQuery(rendered(found.run_key, found.task_id, found.map_index))
  return (
    <Loaded query={query}>
      {(spec) => (
        <>
          <h2>Command</h2>
          <pre className="code" tabIndex={0}>
            {spec.command.join(' ')}
          </pre>
          <h2>Environment</h2>
          <Facts facts={Object.fromEntries(Object.entries(spec.environment).map(([name, value]) => [name, <code className="break">{value}</code>]))} />
        </>
      )}
    </Loaded>
  )
}
