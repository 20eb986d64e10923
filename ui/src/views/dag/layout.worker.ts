// Where the boxes of a graph go, off the page's thread.
import dagre from '@dagrejs/dagre'

export type Box = { id: string; width: number; height: number }
export type Laid = {
  width: number
  height: number
  boxes: { id: string; x: number; y: number; width: number; height: number }[]
  edges: { from: string; to: string; points: { x: number; y: number }[] }[]
}
export type Order = { id: number; boxes: Box[]; edges: [string, string][] }

onmessage = ({ data }: MessageEvent<Order>) => {
  const graph = new dagre.graphlib.Graph()
  // Network simplex is prettier and takes minutes for thousands of boxes.
  const ranker = data.boxes.length > 400 ? 'longest-path' : 'network-simplex'
  graph.setGraph({ rankdir: 'LR', nodesep: 14, ranksep: 46, marginx: 16, marginy: 16, ranker })
  graph.setDefaultEdgeLabel(() => ({}))
  for (const { id, width, height } of data.boxes) graph.setNode(id, { width, height })
  for (const [from, to] of data.edges) graph.setEdge(from, to)
  dagre.layout(graph)
  const laid: Laid = {
    width: graph.graph().width ?? 0,
    height: graph.graph().height ?? 0,
    boxes: graph.nodes().map((id) => ({ id, ...(graph.node(id) as { x: number; y: number; width: number; height: number }) })),
    edges: graph.edges().map(({ v, w }) => ({ from: v, to: w, points: graph.edge({ v, w }).points })),
  }
  postMessage({ id: data.id, laid })
}
