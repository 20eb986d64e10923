import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { lazy, Suspense, useState } from 'react'
import { dag } from '../../api/queries'
import { Loaded } from '../../parts/Notice'
import { Ago } from '../../parts/Time'
import { Trigger } from '../../parts/Trigger'
import { dagRoute } from '../../router'
import { PauseSwitch } from '../Dags'
import { Grid } from './Grid'

const Graph = lazy(() => import('./Graph').then((found) => ({ default: found.DagGraph })))
const Gantt = lazy(() => import('./Gantt').then((found) => ({ default: found.DagGantt })))
const Calendar = lazy(() => import('./Calendar').then((found) => ({ default: found.Calendar })))
const Durations = lazy(() => import('./Durations').then((found) => ({ default: found.Durations })))
const Code = lazy(() => import('./Code').then((found) => ({ default: found.Code })))
const Details = lazy(() => import('./Details').then((found) => ({ default: found.Details })))
const Events = lazy(() => import('./Events').then((found) => ({ default: found.Events })))

const TABS = { grid: Grid, graph: Graph, gantt: Gantt, calendar: Calendar, durations: Durations, code: Code, details: Details, events: Events }

export function Dag() {
  const { dagId } = dagRoute.useParams()
  const { tab = 'grid' } = dagRoute.useSearch()
  const query = useQuery(dag(dagId))
  const [trigger, setTrigger] = useState(false)
  const Shown = TABS[tab as keyof typeof TABS] ?? Grid
  return (
    <Loaded query={query}>
      {(found) => (
        <>
          <div className="view-head">
            <h1>{found.dag_id}</h1>
            <PauseSwitch dagId={found.dag_id} paused={found.paused} />
            <span className="muted">
              <code>{found.schedule}</code>
              {found.next_run && (
                <>
                  , next <Ago at={found.next_run} />
                </>
              )}
            </span>
            <span className="grow" />
            <Link className="button" to="/backfills" search={{ dag_id: dagId }}>
              Backfills
            </Link>
            <button type="button" className="primary" onClick={() => setTrigger(true)}>
              Trigger
            </button>
          </div>
          {found.description && <p className="muted">{found.description}</p>}
          <nav className="tabs" aria-label="Parts of the DAG">
            {Object.keys(TABS).map((name) => (
              <Link key={name} from={dagRoute.fullPath} to="." search={(old) => ({ ...old, tab: name })} aria-current={name === tab ? 'page' : undefined}>
                {name[0]?.toUpperCase() + name.slice(1)}
              </Link>
            ))}
          </nav>
          <Suspense fallback={<p className="loading muted">Loading …</p>}>
            <Shown dagId={dagId} />
          </Suspense>
          {trigger && <Trigger dagId={dagId} close={() => setTrigger(false)} />}
        </>
      )}
    </Loaded>
  )
}
