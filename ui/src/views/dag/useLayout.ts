import { useEffect, useState } from 'react'
import type { Box, Laid, Order } from './layout.worker'

let worker: Worker | undefined
let orders = 0

/** The layout, once it is there; of the latest boxes and edges. */
export function useLayout(boxes: Box[], edges: [string, string][]): Laid | undefined {
  const [laid, setLaid] = useState<Laid>()
  useEffect(() => {
    worker ??= new Worker(new URL('./layout.worker.ts', import.meta.url), { type: 'module' })
    const order: Order = { id: ++orders, boxes, edges }
    const heard = ({ data }: MessageEvent<{ id: number; laid: Laid }>) => {
      if (data.id === order.id) setLaid(data.laid)
    }
    worker.addEventListener('message', heard)
    worker.postMessage(order)
    return () => worker?.removeEventListener('message', heard)
  }, [boxes, edges])
  return laid
}
