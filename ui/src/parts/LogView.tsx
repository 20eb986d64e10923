// An attempt's log: lines are read where one looks, however many there are; a log that grows is followed.
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { elementScroll, observeElementOffset, useVirtualizer } from '@tanstack/react-virtual'
import Anser from 'anser'
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react'
import { ask, client, type Schemas } from '../api/client'
import { listen } from '../api/stream'
import { Empty, Failed } from './Notice'
import { Search } from './Search'

const CHUNK = 1000
const ROW = 19
/** No browser draws what is higher: a longer log is scrolled in larger steps. In pixels. */
const HEIGHT_MAX = 8_000_000
/** Before what could not be read is asked for again, in milliseconds. */
const RETRY = 2000

type Props = {
  runKey: string
  taskId: string
  mapIndex: number
  attempt: number
  growing: boolean
  line: number | undefined
  find: string | undefined
  choose: (line: number | undefined) => void
  search: (text: string | undefined) => void
}

export function LogView({ runKey, taskId, mapIndex, attempt, growing, line, find, choose, search }: Props) {
  const scroll = useRef<HTMLDivElement>(null)
  const [wrap, setWrap] = useState(false)
  const [follow, setFollow] = useState(growing && line === undefined)
  const where = { path: { run_key: runKey, task_id: taskId } }
  const chunks = useChunks(runKey, taskId, mapIndex, attempt, growing)
  const matches = useQuery({
    queryKey: ['log-search', runKey, taskId, mapIndex, attempt, find],
    queryFn: () =>
      ask(
        client.GET('/api/v1/runs/{run_key}/tasks/{task_id}/log/search', {
          params: { ...where, query: { map_index: mapIndex, attempt, text: find ?? '' } },
        }),
      ),
    enabled: Boolean(find),
  })
  const hits = useMemo(() => new Set(find ? matches.data?.lines : []), [find, matches.data])
  // How many pixels of the log one pixel of the scroll bar is.
  const scale = useRef(1)
  const rows = useVirtualizer({
    count: chunks.total,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW,
    overscan: 30,
    measureElement: wrap ? undefined : () => ROW,
    observeElementOffset: (instance, told) => observeElementOffset(instance, (offset, moves) => told(offset * scale.current, moves)),
    scrollToFn: (offset, options, instance) =>
      elementScroll(offset / scale.current, { ...options, adjustments: (options.adjustments ?? 0) / scale.current }, instance),
  })
  const height = Math.min(rows.getTotalSize(), HEIGHT_MAX)
  const view = rows.scrollRect?.height ?? 0
  scale.current = height < HEIGHT_MAX ? 1 : (rows.getTotalSize() - view) / (height - view)
  const offset = rows.scrollOffset ?? 0
  const shift = offset / scale.current - offset
  const shown = rows.getVirtualItems()
  // The virtualizer knows the element's own height alone, of which a long log has more.
  const scrollTo = (index: number, align: 'center' | 'end') => {
    const element = scroll.current
    if (!element) return
    const room = element.clientHeight - ROW
    const start = rows.measurementsCache[index]?.start ?? index * ROW
    const offset = start - (align === 'end' ? room : room / 2)
    const last = rows.getTotalSize() - element.clientHeight
    element.scrollTop = Math.min(Math.max(offset, 0), Math.max(last, 0)) / scale.current
  }
  // What one looks at stays where it is when the log grows, and a pixel of the scroll bar is more of it.
  const scaleNow = scale.current
  const scaleBefore = useRef(scaleNow)
  useLayoutEffect(() => {
    if (scroll.current) scroll.current.scrollTop *= scaleBefore.current / scaleNow
    scaleBefore.current = scaleNow
  }, [scaleNow])
  const { want } = chunks
  useEffect(() => {
    for (const { index } of shown) want(Math.floor(index / CHUNK))
  })
  useEffect(() => {
    if (follow && chunks.total > 0) scrollTo(chunks.total - 1, 'end')
  }, [follow, chunks.total])
  const jumped = useRef(false)
  useEffect(() => {
    if (line === undefined || jumped.current || chunks.total === 0) return
    jumped.current = true
    scrollTo(Math.min(line, chunks.total) - 1, 'center')
  }, [line, chunks.total])
  const jump = (step: 1 | -1) => {
    const lines = matches.data?.lines ?? []
    const at = (line ?? 1) - 1
    const next = step > 0 ? (lines.find((one) => one > at) ?? lines[0]) : (lines.findLast((one) => one < at) ?? lines.at(-1))
    if (next === undefined) return
    choose(next + 1)
    setFollow(false)
    scrollTo(next, 'center')
  }
  const download = `/api/v1/runs/${runKey}/tasks/${encodeURIComponent(taskId)}/log/download?attempt=${attempt}${mapIndex >= 0 ? `&map_index=${mapIndex}` : ''}`
  return (
    <>
      <div className="tools">
        <Search text={find} change={search} label="Search the log" />
        {find && matches.data && (
          <>
            <span className="muted" role="status">
              {matches.data.lines.length}
              {matches.data.more ? ' and more' : ''} lines
            </span>
            <button type="button" onClick={() => jump(-1)} aria-label="Previous line found">
              ↑
            </button>
            <button type="button" onClick={() => jump(1)} aria-label="Next line found">
              ↓
            </button>
          </>
        )}
        <span className="grow" />
        <span className="muted">{chunks.total} lines</span>
        <button type="button" aria-pressed={wrap} onClick={() => setWrap(!wrap)}>
          Wrap
        </button>
        <button type="button" aria-pressed={follow} onClick={() => setFollow(!follow)}>
          Follow
        </button>
        <a className="button" href={download} download>
          Download
        </a>
      </div>
      {chunks.error && <Failed error={chunks.error} />}
      {chunks.total === 0 ? (
        chunks.ready && <Empty title="Nothing was printed">{growing ? 'Lines appear here as they are printed.' : 'The task printed nothing.'}</Empty>
      ) : (
        <div
          className={wrap ? 'log is-wrapped' : 'log'}
          ref={scroll}
          tabIndex={0}
          role="region"
          aria-label={`Log of attempt ${attempt}`}
          onWheel={(event) => {
            if (event.deltaY < 0) setFollow(false)
          }}
        >
          <div className="log-inside" style={{ height }}>
            {shown.map(({ index, start, key }) => (
              <div
                key={key}
                data-index={index}
                ref={rows.measureElement}
                className={['log-line', line === index + 1 && 'is-chosen', hits.has(index) && 'is-hit'].filter(Boolean).join(' ')}
                style={{ transform: `translateY(${start + shift}px)` }}
              >
                <button type="button" className="log-number" tabIndex={-1} aria-label={`Link to line ${index + 1}`} onClick={() => choose(index + 1)}>
                  {index + 1}
                </button>
                <Line text={chunks.line(index)} />
              </div>
            ))}
          </div>
        </div>
      )}
    </>
  )
}

/** With the colours that the task has printed. */
function Line({ text }: { text: string | undefined }) {
  if (text === undefined) return <span className="muted">…</span>
  if (!text.includes('\u001b[')) return <span className={text.startsWith('[towpath ') ? 'log-text is-note' : 'log-text'}>{text}</span>
  const parts = Anser.ansiToJson(text, { use_classes: true, remove_empty: true })
  return (
    <span className="log-text">
      {parts.map((part, index) => (
        <span key={index} className={[part.fg, part.bg && `${part.bg}-bg`, ...part.decorations.map((one) => `ansi-${one}`)].filter(Boolean).join(' ')}>
          {part.content}
        </span>
      ))}
    </span>
  )
}

type Chunk = Schemas['LogLines']

/** The log in chunks of lines, read when they are wanted. */
function useChunks(runKey: string, taskId: string, mapIndex: number, attempt: number, growing: boolean) {
  const cache = useQueryClient()
  const [wanted, setWanted] = useState<ReadonlySet<number>>(() => new Set([0]))
  const [grown, setGrown] = useState(0)
  const query = { map_index: mapIndex, attempt }
  const read = (chunk: number) =>
    ask(
      client.GET('/api/v1/runs/{run_key}/tasks/{task_id}/log', {
        params: { path: { run_key: runKey, task_id: taskId }, query: { ...query, first: chunk * CHUNK, count: CHUNK } },
      }),
    )
  const loaded = useRef(new Map<number, Chunk>())
  const [, drawn] = useState(0)
  const [error, setError] = useState<unknown>()
  const load = (chunk: number) =>
    read(chunk).then(
      (found) => {
        const known = loaded.current.get(chunk)
        // Of two answers that overtake one another the longer one is the later.
        if (!known || found.lines.length >= known.lines.length) loaded.current.set(chunk, found)
        setError(undefined)
        drawn((count) => count + 1)
      },
      (failed: unknown) => {
        setError(failed)
        setTimeout(() => drawn((count) => count + 1), RETRY)
        asked.current.delete(chunk)
      },
    )
  const asked = useRef(new Set<number>())
  // What is wanted and was never asked for, or failed.
  useEffect(() => {
    for (const chunk of wanted) {
      if (asked.current.has(chunk)) continue
      asked.current.add(chunk)
      void load(chunk)
    }
  })
  const reload = (isOld: (chunk: number, found: Chunk) => boolean) => {
    for (const [chunk, found] of loaded.current) if (isOld(chunk, found)) void load(chunk)
  }
  useEffect(() => {
    if (!growing) return
    const map = mapIndex >= 0 ? `&map_index=${mapIndex}` : ''
    const path = `/api/v1/runs/${runKey}/tasks/${encodeURIComponent(taskId)}/log/follow`
    // Only that lines have come is heard; they are read where one looks.
    const first = () => Math.max(0, ...[...loaded.current.values()].map((found) => found.total))
    const stop = listen(() => `${path}?attempt=${attempt}${map}&first=${first()}`, {
      events: {
        lines: (event) => {
          const end = Number(event.lastEventId.split(':')[1])
          setGrown((before) => Math.max(before, end))
        },
        end: () => {
          stop()
          void cache.invalidateQueries({ queryKey: ['instance', runKey] })
        },
      },
    })
    return () => {
      stop()
      // Its last lines may have come with its end.
      reload((_, found) => found.lines.length < CHUNK)
    }
  }, [cache, runKey, taskId, mapIndex, attempt, growing])
  // A chunk that was short when it was read has grown.
  useEffect(() => reload((chunk, found) => found.lines.length < CHUNK && chunk * CHUNK + found.lines.length < grown), [grown])
  const total = Math.max(grown, ...[...loaded.current.values()].map((found) => found.total))
  return {
    total: Number.isFinite(total) ? total : 0,
    ready: loaded.current.size > 0,
    error,
    want: (chunk: number) => {
      if (!wanted.has(chunk)) setWanted(new Set([...wanted, chunk]))
    },
    line: (index: number) => loaded.current.get(Math.floor(index / CHUNK))?.lines[index % CHUNK],
  }
}
