// The views and their addresses. Every filter and every selection is in the address.
import type { QueryClient } from '@tanstack/react-query'
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router'
import { dag, grid } from './api/queries'
import { Empty, Failed } from './parts/Notice'
import { Shell } from './shell/Shell'

type Raw = Record<string, unknown>
const text = (value: unknown) => (value === undefined || value === '' ? undefined : String(value))
const number = (value: unknown) => (value === undefined || Number.isNaN(Number(value)) ? undefined : Number(value))

const root = createRootRouteWithContext<{ client: QueryClient }>()({
  component: Shell,
  notFoundComponent: () => <Empty title="There is no such page">Choose another from the menu.</Empty>,
})

/** Each may be absent from the address. */
const some = <T extends Raw>(search: T): { [K in keyof T]?: Exclude<T[K], undefined> } => search as never

const loads: (() => Promise<unknown>)[] = []

/** A view whose code comes when it is looked at, or when the browser has nothing else to do. */
function lazy(load: () => Promise<Record<string, unknown>>, name: string) {
  loads.push(load)
  return lazyRouteComponent(load as never, name as never)
}

/** So that a server that is away later is not missed for code. */
export function loadEveryView() {
  const idle = window.requestIdleCallback ?? ((work: () => void) => setTimeout(work, 1_000))
  const next = (place: number) => {
    const load = loads[place]
    if (load) idle(() => void load().then(() => next(place + 1), () => setTimeout(() => next(place), 5_000)))
  }
  // What is looked at first comes first.
  setTimeout(() => next(0), 3_000)
}

const view = <P extends string>(path: P, load: () => Promise<Record<string, unknown>>, name: string) =>
  createRoute({
    getParentRoute: () => root,
    path,
    component: lazy(load, name),
  })

const home = view('/', () => import('./views/Home'), 'Home')
export const dagsRoute = createRoute({
  getParentRoute: () => root,
  path: '/dags',
  validateSearch: (raw: Raw) => some({ search: text(raw.search), team: text(raw.team), tag: text(raw.tag), paused: text(raw.paused) }),
  component: lazy(() => import('./views/Dags'), 'Dags'),
})
export const dagRoute = createRoute({
  getParentRoute: () => root,
  path: '/dags/$dagId',
  validateSearch: (raw: Raw) => some({
    tab: text(raw.tab),
    run: text(raw.run),
    task: text(raw.task),
    search: text(raw.search),
    version: text(raw.version),
    with: text(raw.with),
    runs: number(raw.runs),
  }),
  // Asked for while the code is on its way.
  loaderDeps: ({ search: { tab, runs } }) => ({ isGrid: (tab ?? 'grid') === 'grid', runs }),
  loader: ({ params: { dagId }, deps: { isGrid, runs }, context: { client }, cause }) => {
    void client.prefetchQuery(dag(dagId))
    // Not for a pointer that passes by.
    if (isGrid && cause !== 'preload') void client.prefetchQuery(grid(dagId, runs))
  },
  component: lazy(() => import('./views/dag/Dag'), 'Dag'),
})
export const runsRoute = createRoute({
  getParentRoute: () => root,
  path: '/runs',
  validateSearch: (raw: Raw) => some({
    dag_id: text(raw.dag_id),
    state: text(raw.state),
    run_type: text(raw.run_type),
    search: text(raw.search),
  }),
  component: lazy(() => import('./views/Runs'), 'Runs'),
})
export const runRoute = createRoute({
  getParentRoute: () => root,
  path: '/runs/$runKey',
  validateSearch: (raw: Raw) => some({ tab: text(raw.tab), state: text(raw.state), task: text(raw.task), search: text(raw.search) }),
  component: lazy(() => import('./views/Run'), 'Run'),
})
export const taskRoute = createRoute({
  getParentRoute: () => root,
  path: '/runs/$runKey/tasks/$taskId',
  validateSearch: (raw: Raw) => some({
    tab: text(raw.tab),
    map: number(raw.map),
    attempt: number(raw.attempt),
    line: number(raw.line),
    find: text(raw.find),
  }),
  component: lazy(() => import('./views/Task'), 'Task'),
})
export const backfillsRoute = createRoute({
  getParentRoute: () => root,
  path: '/backfills',
  validateSearch: (raw: Raw) => some({ dag_id: text(raw.dag_id) }),
  component: lazy(() => import('./views/Backfills'), 'Backfills'),
})
export const assetsRoute = createRoute({
  getParentRoute: () => root,
  path: '/assets',
  validateSearch: (raw: Raw) => some({ asset: text(raw.asset) }),
  component: lazy(() => import('./views/Assets'), 'Assets'),
})
export const auditRoute = createRoute({
  getParentRoute: () => root,
  path: '/audit',
  validateSearch: (raw: Raw) => some({ who: text(raw.who), subject: text(raw.subject), action: text(raw.action) }),
  component: lazy(() => import('./views/Audit'), 'Audit'),
})

const tree = root.addChildren([
  home,
  dagsRoute,
  dagRoute,
  runsRoute,
  runRoute,
  taskRoute,
  backfillsRoute,
  assetsRoute,
  auditRoute,
  view('/pools', () => import('./views/Pools'), 'Pools'),
  view('/variables', () => import('./views/Vault'), 'Variables'),
  view('/connections', () => import('./views/Vault'), 'Connections'),
  view('/workers', () => import('./views/Workers'), 'Workers'),
  view('/queue', () => import('./views/Queue'), 'Queue'),
  view('/users', () => import('./views/Users'), 'Users'),
  view('/api', () => import('./views/Reference'), 'Reference'),
])

export const makeRouter = (client: QueryClient) =>
  createRouter({
    routeTree: tree,
    context: { client },
    defaultPreload: 'intent',
    scrollRestoration: true,
    defaultErrorComponent: ({ error, reset }) => <Failed error={error} retry={reset} />,
  })

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>
  }
}
