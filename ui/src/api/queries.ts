// What is read, under which key it is kept, and how fresh it is.
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import { ask, client, every, setCsrf } from './client'

const path = <T>(params: T) => ({ params: { path: params } })

export const session = queryOptions({
  queryKey: ['session'],
  queryFn: async () => {
    const found = await ask(client.GET('/api/v1/session'))
    setCsrf(found.csrf_token)
    return found
  },
  staleTime: Infinity,
  retry: (count, error) => (error as { status?: number }).status !== 401 && count < 3,
})

export type DagFilter = { search?: string; team?: string; tag?: string; paused?: boolean }

export const dags = (filter: DagFilter) =>
  infiniteQueryOptions({
    queryKey: ['dags', filter],
    queryFn: ({ pageParam }) =>
      ask(client.GET('/api/v1/dags', { params: { query: { ...filter, after: pageParam, limit: 50 } } })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
  })

export const dag = (dag_id: string) =>
  queryOptions({ queryKey: ['dag', dag_id], queryFn: () => ask(client.GET('/api/v1/dags/{dag_id}', path({ dag_id }))) })

/** At most a year of days. */
export const grid = (dag_id: string, runs = 50) => gridOf(dag_id, Math.min(Math.max(runs, 1), 365))

const gridOf = (dag_id: string, limit: number) =>
  queryOptions({
    queryKey: ['grid', dag_id, limit],
    queryFn: () =>
      ask(client.GET('/api/v1/dags/{dag_id}/grid', { params: { path: { dag_id }, query: { limit } } })),
  })

export const graph = (dag_id: string, version?: string) =>
  queryOptions({
    queryKey: ['graph', dag_id, version ?? 'current'],
    queryFn: () =>
      ask(client.GET('/api/v1/dags/{dag_id}/graph', { params: { path: { dag_id }, query: { version } } })),
    staleTime: version ? Infinity : 30_000,
  })

export const versions = (dag_id: string) =>
  queryOptions({
    queryKey: ['versions', dag_id],
    queryFn: () => ask(client.GET('/api/v1/dags/{dag_id}/versions', path({ dag_id }))),
  })

export const version = (dag_id: string, version: string) =>
  queryOptions({
    queryKey: ['version', dag_id, version],
    queryFn: () => ask(client.GET('/api/v1/dags/{dag_id}/versions/{version}', path({ dag_id, version }))),
    staleTime: Infinity,
  })

export const nextRuns = (dag_id: string) =>
  queryOptions({
    queryKey: ['next-runs', dag_id],
    queryFn: () => ask(client.GET('/api/v1/dags/{dag_id}/next-runs', path({ dag_id }))),
  })

export const dagEvents = (dag_id: string) =>
  queryOptions({
    queryKey: ['dag-events', dag_id],
    queryFn: () => ask(client.GET('/api/v1/dags/{dag_id}/events', path({ dag_id }))),
  })

export type RunFilter = {
  dag_id?: string
  state?: string
  run_type?: string
  search?: string
  from?: string
  to?: string
  ended_since?: string
}

export const runs = (filter: RunFilter, limit = 50) =>
  infiniteQueryOptions({
    queryKey: ['runs', filter, limit],
    queryFn: ({ pageParam }) =>
      ask(client.GET('/api/v1/runs', { params: { query: { ...filter, after: pageParam, limit } } })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
  })

export const run = (run_key: string) =>
  queryOptions({ queryKey: ['run', run_key], queryFn: () => ask(client.GET('/api/v1/runs/{run_key}', path({ run_key }))) })

export const instances = (run_key: string) =>
  infiniteQueryOptions({
    queryKey: ['instances', run_key],
    queryFn: ({ pageParam }) =>
      ask(
        client.GET('/api/v1/runs/{run_key}/tasks', {
          params: { path: { run_key }, query: { after: pageParam, limit: 1000 } },
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
  })

export const instance = (run_key: string, task_id: string, map_index: number) =>
  queryOptions({
    queryKey: ['instance', run_key, task_id, map_index],
    queryFn: () =>
      ask(
        client.GET('/api/v1/runs/{run_key}/tasks/{task_id}', {
          params: { path: { run_key, task_id }, query: { map_index } },
        }),
      ),
  })

export const rendered = (run_key: string, task_id: string, map_index: number) =>
  queryOptions({
    queryKey: ['rendered', run_key, task_id, map_index],
    queryFn: () =>
      ask(
        client.GET('/api/v1/runs/{run_key}/tasks/{task_id}/rendered', {
          params: { path: { run_key, task_id }, query: { map_index } },
        }),
      ),
    retry: false,
  })

export const live = (state: string, limit = 50) =>
  queryOptions({
    queryKey: ['live', state, limit],
    queryFn: () => ask(client.GET('/api/v1/live-instances', { params: { query: { state, limit } } })),
  })

export const backfills = (dag_id?: string) =>
  queryOptions({
    queryKey: ['backfills', dag_id ?? 'all'],
    queryFn: () => ask(client.GET('/api/v1/backfills', { params: { query: { dag_id } } })),
  })

export const fleet = queryOptions({
  queryKey: ['fleet'],
  queryFn: () => ask(client.GET('/api/v1/workers')),
  refetchInterval: 10_000,
})

export const pools = queryOptions({ queryKey: ['pools'], queryFn: () => every((query) => client.GET('/api/v1/pools', { params: { query } })) })
export const assets = queryOptions({ queryKey: ['assets'], queryFn: () => every((query) => client.GET('/api/v1/assets', { params: { query } })) })

export const assetEvents = (asset?: string) =>
  queryOptions({
    queryKey: ['asset-events', asset ?? 'all'],
    queryFn: () => ask(client.GET('/api/v1/asset-events', { params: { query: { asset } } })),
  })

export const notifications = queryOptions({
  queryKey: ['notifications'],
  queryFn: () => ask(client.GET('/api/v1/notifications')),
})

export const variables = queryOptions({
  queryKey: ['variables'],
  queryFn: () => every((query) => client.GET('/api/v1/variables', { params: { query } })),
})

export const connections = queryOptions({
  queryKey: ['connections'],
  queryFn: () => every((query) => client.GET('/api/v1/connections', { params: { query } })),
})

export type AuditFilter = { who?: string; subject?: string; action?: string }

export const audit = (filter: AuditFilter) =>
  infiniteQueryOptions({
    queryKey: ['audit', filter],
    queryFn: ({ pageParam }) =>
      ask(client.GET('/api/v1/audit', { params: { query: { ...filter, after: pageParam } } })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
  })

export const users = queryOptions({ queryKey: ['users'], queryFn: () => every((query) => client.GET('/api/v1/users', { params: { query } })) })
export const tokens = queryOptions({ queryKey: ['tokens'], queryFn: () => every((query) => client.GET('/api/v1/tokens', { params: { query } })) })
