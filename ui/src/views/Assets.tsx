// Assets, who makes them and whom they start: a graph across DAGs.
import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useMemo } from 'react'
import { ask, client, type Schemas } from '../api/client'
import { assetEvents, assets } from '../api/queries'
import { Empty, Failed, Loaded } from '../parts/Notice'
import { Scroll } from '../parts/Scroll'
import { Ago, Time } from '../parts/Time'
import { useAction } from '../parts/useAction'
import { assetsRoute } from '../router'
import { useLayout } from './dag/useLayout'

type Asset = Schemas['Asset']

export function Assets() {
  const query = useQuery(assets)
  return (
    <>
      <div className="view-head">
        <h1>Assets</h1>
      </div>
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No DAG names an asset">
              A task makes one with <code>outlets</code>; a DAG waits for one with <code>{'schedule: {assets: …}'}</code>.
            </Empty>
          ) : (
            <>
              <AssetGraph items={items} />
              <Table items={items} />
            </>
          )
        }
      </Loaded>
      <Events />
    </>
  )
}

function AssetGraph({ items }: { items: Asset[] }) {
  const navigate = useNavigate()
  const { boxes, edges, names } = useMemo(() => {
    const names = new Map<string, { label: string; dag?: string; asset?: string }>()
    const edges: [string, string][] = []
    for (const asset of items) {
      const id = `asset:${asset.asset}`
      names.set(id, { label: asset.asset, asset: asset.asset })
      for (const dag of new Set(asset.made_by.map((one) => one.dag_id))) {
        names.set(`dag:${dag}`, { label: dag, dag })
        edges.push([`dag:${dag}`, id])
      }
      for (const dag of asset.starts) {
        names.set(`dag:${dag}`, { label: dag, dag })
        edges.push([id, `dag:${dag}`])
      }
    }
    const boxes = [...names].map(([id, { label }]) => ({ id, width: 40 + Math.min(label.length, 40) * 7.4, height: 34 }))
    return { boxes, edges, names }
  }, [items])
  const laid = useLayout(boxes, edges)
  if (!laid) return null
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label="Assets across DAGs">
      <svg width={laid.width} height={laid.height} className="asset-graph">
        {laid.edges.map(({ from, to, points }) => (
          <path key={`${from} ${to}`} d={`M${points.map(({ x, y }) => `${x} ${y}`).join('L')}`} className="edge" />
        ))}
        {laid.boxes.map((box) => {
          const { label, dag, asset } = names.get(box.id) ?? { label: box.id }
          const open = () =>
            dag ? void navigate({ to: '/dags/$dagId', params: { dagId: dag } }) : void navigate({ to: '/assets', search: { asset } })
          return (
            <g
              key={box.id}
              className={dag ? 'node' : 'node is-asset'}
              transform={`translate(${box.x - box.width / 2} ${box.y - box.height / 2})`}
              tabIndex={0}
              role="button"
              aria-label={dag ? `DAG ${label}` : `asset ${label}`}
              onClick={open}
              onKeyDown={(event) => event.key === 'Enter' && open()}
            >
              <rect width={box.width} height={box.height} rx={dag ? 6 : 17} />
              <text x={16} y={22}>
                {label.length > 40 ? `${label.slice(0, 39)}…` : label}
              </text>
            </g>
          )
        })}
      </svg>
    </div>
  )
}

function Table({ items }: { items: Asset[] }) {
  const materialize = useAction((asset: string) => ask(client.POST('/api/v1/asset-events', { body: { asset } })))
  return (
    <Scroll label="Assets">
      {materialize.error && <Failed error={materialize.error} />}
      <table className="list">
        <thead>
          <tr>
            <th scope="col">Asset</th>
            <th scope="col">Events</th>
            <th scope="col">Latest</th>
            <th scope="col">Made by</th>
            <th scope="col">Starts</th>
            <th scope="col">
              <span className="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {items.map((one) => (
            <tr key={one.asset}>
              <td className="break">
                <Link to="/assets" search={{ asset: one.asset }}>
                  {one.asset}
                </Link>
              </td>
              <td>{one.events}</td>
              <td>
                <Ago at={one.latest} />
              </td>
              <td>
                {one.made_by.map((use) => (
                  <div key={`${use.dag_id} ${use.task_id}`}>
                    <Link to="/dags/$dagId" params={{ dagId: use.dag_id }}>
                      {use.dag_id} · {use.task_id}
                    </Link>
                  </div>
                ))}
              </td>
              <td>
                {one.starts.map((dag) => (
                  <div key={dag}>
                    <Link to="/dags/$dagId" params={{ dagId: dag }}>
                      {dag}
                    </Link>
                  </div>
                ))}
              </td>
              <td>
                <button type="button" onClick={() => materialize.mutate(one.asset)}>
                  It is new<span className="visually-hidden">: {one.asset}</span>
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  )
}

function Events() {
  const { asset } = assetsRoute.useSearch()
  const query = useQuery(assetEvents(asset))
  return (
    <section>
      <h2>
        Events{' '}
        {asset && (
          <Link to="/assets" search={{}} className="chip">
            {asset} ✕
          </Link>
        )}
      </h2>
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No events yet">When a task that makes an asset succeeds, it appears here.</Empty>
          ) : (
            <Scroll label="Events of assets">
              <table className="list">
                <thead>
                  <tr>
                    <th scope="col">When</th>
                    <th scope="col">Asset</th>
                    <th scope="col">By</th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((event) => (
                    <tr key={event.sequence}>
                      <td>
                        <Time at={event.at} seconds />
                      </td>
                      <td className="break">{event.asset}</td>
                      <td className="break">
                        {event.run_key ? (
                          <Link to="/runs/$runKey" params={{ runKey: event.run_key }}>
                            {event.source}
                          </Link>
                        ) : (
                          event.source
                        )}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Loaded>
    </section>
  )
}
