import { useEffect } from 'react'

type Paged = { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown }

/** Goes on until all pages are there. */
export function useEveryPage({ hasNextPage, isFetchingNextPage, fetchNextPage }: Paged) {
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage()
  }, [hasNextPage, isFetchingNextPage, fetchNextPage])
}
