import { useMutation, useQueryClient } from '@tanstack/react-query'

/** Something to do, after which everything that is shown is read again. */
export function useAction<A, R>(act: (what: A) => Promise<R>, done?: (result: R) => void) {
  const client = useQueryClient()
  return useMutation({
    mutationFn: act,
    onSuccess: (result) => {
      void client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== 'session' })
      done?.(result)
    },
  })
}
