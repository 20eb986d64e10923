import { QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { ApiError } from './api/client'
import { applyTheme } from './parts/settings'
import { makeRouter } from './router'
import './style/base.css'
import './style/parts.css'
import './style/views.css'

applyTheme()

/** Services that are away come back: ask again, less and less often. */
const isAway = (error: unknown) => error instanceof ApiError && (error.status === 0 || error.status === 503)

const client = new QueryClient({
  queryCache: new QueryCache({
    onError: (error, query) => {
      // The session has ended: what is shown next is the login.
      if (error instanceof ApiError && error.status === 401 && query.queryKey[0] !== 'session') {
        void client.invalidateQueries({ queryKey: ['session'] })
      }
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      retry: (count, error) => isAway(error) && count < 1,
      refetchInterval: (query) => (isAway(query.state.error) ? 3_000 : false),
    },
  },
})

const router = makeRouter(client)

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
)
