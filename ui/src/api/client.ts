// The API as the document describes it. Errors are problems: they say what would be right.
import createClient, { type Middleware } from 'openapi-fetch'
import type { components, paths } from './schema'

export type Schemas = components['schemas']

export class ApiError extends Error {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail)
  }
}

let csrfToken: string | null | undefined

export function setCsrf(token: string | null | undefined) {
  csrfToken = token
}

const guard: Middleware = {
  onRequest({ request }) {
    if (csrfToken && request.method !== 'GET') request.headers.set('X-CSRF-Token', csrfToken)
    return request
  },
}

export const client = createClient<paths>({ baseUrl: '/' })
client.use(guard)

type Answer<T> = { data?: T; error?: unknown; response: Response }
type Part<T> = { items: T[]; next?: string | null }

/** All parts of a list, as one. */
export async function every<T>(part: (query: { after?: string; limit: number }) => Promise<Answer<Part<T>>>): Promise<{ items: T[] }> {
  const items: T[] = []
  let after: string | undefined
  do {
    const found = await ask(part({ after, limit: 1000 }))
    items.push(...found.items)
    after = found.next ?? undefined
  } while (after)
  return { items }
}

/** The data, or an error that can be shown. */
export async function ask<T>(answer: Promise<Answer<T>>): Promise<T> {
  let found: Answer<T>
  try {
    found = await answer
  } catch {
    throw new ApiError(0, 'The server does not answer.')
  }
  if (!found.response.ok) {
    const problem = found.error as Schemas['Problem'] | undefined
    throw new ApiError(found.response.status, problem?.detail ?? found.response.statusText)
  }
  return found.data as T
}
