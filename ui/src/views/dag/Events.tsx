import { useQuery } from '@tanstack/react-query'
import { dagEvents } from '../../api/queries'
import { AuditTable } from '../../parts/AuditTable'
import { Loaded } from '../../parts/Notice'

export function Events({ dagId }: { dagId: string }) {
  const query = useQuery(dagEvents(dagId))
  return <Loaded query={query}>{({ items }) => <AuditTable entries={items} />}</Loaded>
}
