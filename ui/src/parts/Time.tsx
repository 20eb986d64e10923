import { useEffect, useState } from 'react'
import { useZone, type Zone } from './settings'

const two = (n: number) => String(n).padStart(2, '0')

export function formatTime(at: string | Date, zone: Zone, seconds = true): string {
  const date = new Date(at)
  const parts =
    zone === 'utc'
      ? [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()]
      : [date.getFullYear(), date.getMonth() + 1, date.getDate(), date.getHours(), date.getMinutes(), date.getSeconds()]
  const [year, month, day, hour, minute, second] = parts as [number, number, number, number, number, number]
  return `${year}-${two(month)}-${two(day)} ${two(hour)}:${two(minute)}${seconds ? `:${two(second)}` : ''}`
}

/** In the zone that the reader has chosen, with the exact instant on hover. */
export function Time({ at, seconds = false }: { at: string | null | undefined; seconds?: boolean }) {
  const zone = useZone()
  if (!at) return <span className="muted">–</span>
  return (
    <time dateTime={at} title={`${at} (shown in ${zone === 'utc' ? 'UTC' : 'local time'})`}>
      {formatTime(at, zone, seconds)}
    </time>
  )
}

export function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 60) return `${Math.round(seconds)} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`
}

/** From the first to the second; to now, and on, while there is no second. */
export function Duration({ from, to }: { from: string | null | undefined; to: string | null | undefined }) {
  const [now, setNow] = useState(() => Date.now())
  const counting = Boolean(from && !to)
  useEffect(() => {
    if (!counting) return
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [counting])
  if (!from) return <span className="muted">–</span>
  const end = to ? Date.parse(to) : now
  return <span>{formatSeconds(Math.max(0, (end - Date.parse(from)) / 1000))}</span>
}

/** How long until or since, in words. */
export function Ago({ at }: { at: string | null | undefined }) {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 5000)
    return () => clearInterval(timer)
  }, [])
  if (!at) return <span className="muted">–</span>
  const seconds = (Date.parse(at) - now) / 1000
  const words = formatSeconds(Math.abs(seconds)).replace(/(\d+) min \d+ s/, '$1 min').replace(/\.\d s/, ' s')
  return <time dateTime={at} title={at}>{seconds > 0 ? `in ${words}` : `${words} ago`}</time>
}
