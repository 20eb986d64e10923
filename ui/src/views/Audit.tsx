import { useInfiniteQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { audit } from '../api/queries'
import { AuditTable } from '../parts/AuditTable'
import { Loaded } from '../parts/Notice'
import { Search } from '../parts/Search'
import { auditRoute } from '../router'

export function Audit() {
  const filter = auditRoute.useSearch()
  const navigate = useNavigate({ from: auditRoute.fullPath })
  const set = (change: Partial<typeof filter>) => void navigate({ search: (old) => ({ ...old, ...change }), replace: true })
  const query = useInfiniteQuery(audit(filter))
  return (
    <>
      <div className="view-head">
        <h1>Audit</h1>
        <Search text={filter.subject} change={(subject) => set({ subject })} label="Of what: dag/… run/…" />
        <Search text={filter.who} change={(who) => set({ who })} label="Who" />
        <span className="grow" />
        <a className="button" href="/api/v1/audit/export" download="audit.ndjson">
          Export
        </a>
      </div>
      <Loaded query={{ ...query, data: query.data?.pages.flatMap((page) => page.items) }}>{(items) => <AuditTable entries={items} />}</Loaded>
      {query.hasNextPage && (
        <button type="button" onClick={() => void query.fetchNextPage()} disabled={query.isFetchingNextPage}>
          More
        </button>
      )}
    </>
  )
}
