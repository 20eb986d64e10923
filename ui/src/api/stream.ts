// Server-sent events that come back. The browser connects again after a lost connection, with the last id; after an answer
// that is no stream (a proxy's 502, a 503) it gives up, and a new stream is made.

const PAUSE_FIRST = 1000
const PAUSE_MAX = 15_000

type Handlers = {
  /** Each time that the stream begins. */
  open?: () => void
  lost?: () => void
  events: Record<string, (event: MessageEvent<string>) => void>
}

/** Listens until the returned function is called. */
export function listen(url: () => string, { open, lost, events }: Handlers): () => void {
  let source: EventSource | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let pause = PAUSE_FIRST
  const begin = () => {
    const stream = new EventSource(url())
    source = stream
    stream.onopen = () => {
      pause = PAUSE_FIRST
      open?.()
    }
    stream.onerror = () => {
      lost?.()
      if (stream.readyState !== EventSource.CLOSED) return
      timer = setTimeout(begin, pause)
      pause = Math.min(2 * pause, PAUSE_MAX)
    }
    for (const [name, heard] of Object.entries(events)) stream.addEventListener(name, heard as (event: MessageEvent) => void)
  }
  begin()
  return () => {
    clearTimeout(timer)
    source?.close()
  }
}
