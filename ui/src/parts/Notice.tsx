import type { ReactNode } from 'react'
import { ApiError } from '../api/client'

/** Nothing is there, and what would change that. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children && <div className="muted">{children}</div>}
    </div>
  )
}

/** What went wrong, in the server's words, and what to do next. */
export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const status = error instanceof ApiError ? error.status : undefined
  const title =
    status === 403
      ? 'You may not see or do this'
      : status === 404
        ? 'There is no such thing'
        : status === 0 || status === 503
          ? 'A service is away'
          : 'This did not work'
  return (
    <div className="failed" role="alert">
      <p className="failed-title">{title}</p>
      <p>{error instanceof Error ? error.message : String(error)}</p>
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  )
}

type Query<T> = { data: T | undefined; error: unknown; isPending: boolean; refetch: () => unknown }

/** What a query has, or why it has not. */
export function Loaded<T>({ query, children }: { query: Query<T>; children: (data: T) => ReactNode }) {
  if (query.data !== undefined) {
    return (
      <>
        {query.error ? <Failed error={query.error} /> : null}
        {children(query.data)}
      </>
    )
  }
  if (query.error) return <Failed error={query.error} retry={() => void query.refetch()} />
  return (
    <p className="loading muted" role="status">
      Loading …
    </p>
  )
}
