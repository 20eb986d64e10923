import { useEffect, useState } from 'react'

/** A field whose text is in the address, a moment after it was typed. */
export function Search({ text, change, label }: { text: string | undefined; change: (text: string | undefined) => void; label: string }) {
  const [typed, setTyped] = useState(text ?? '')
  useEffect(() => setTyped(text ?? ''), [text])
  useEffect(() => {
    if (typed === (text ?? '')) return
    const timer = setTimeout(() => change(typed || undefined), 250)
    return () => clearTimeout(timer)
  })
  return <input type="search" value={typed} placeholder={label} aria-label={label} onChange={(event) => setTyped(event.target.value)} />
}
