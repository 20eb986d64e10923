import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ask, client, type Schemas } from '../api/client'
import { pools } from '../api/queries'
import { Dialog } from '../parts/Dialog'
import { ItemTable } from '../parts/ItemTable'
import { Empty, Failed, Loaded } from '../parts/Notice'
import { useAction } from '../parts/useAction'

type Pool = Schemas['Pool']

export function Pools() {
  const query = useQuery(pools)
  const [edited, setEdited] = useState<Pool | 'new'>()
  const remove = useAction((name: string) => ask(client.DELETE('/api/v1/pools/{name}', { params: { path: { name } } })))
  return (
    <>
      <div className="view-head">
        <h1>Pools</h1>
        <span className="grow" />
        <button type="button" className="primary" onClick={() => setEdited('new')}>
          New pool
        </button>
      </div>
      {remove.error && <Failed error={remove.error} />}
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="There are no pools">A pool limits how many tasks use something at once.</Empty>
          ) : (
            <ItemTable
              label="Pools"
              columns={['Pool', 'Taken', 'Counts deferred']}
              items={items}
              name={(pool) => pool.name}
              cells={(pool) => (
                <>
                  <td className="strong">{pool.name}</td>
                  <td>
                    {pool.used} of {pool.slots} <meter min={0} max={Math.max(1, pool.slots)} value={pool.used} aria-label={`Slots of ${pool.name}`} />
                  </td>
                  <td>{pool.include_deferred ? 'yes' : 'no'}</td>
                </>
              )}
              change={{ word: 'Change', act: setEdited }}
              remove={(pool) => remove.mutate(pool.name)}
            />
          )
        }
      </Loaded>
      {edited && <Form pool={edited === 'new' ? undefined : edited} close={() => setEdited(undefined)} />}
    </>
  )
}

function Form({ pool, close }: { pool?: Pool; close: () => void }) {
  const [name, setName] = useState(pool?.name ?? '')
  const [slots, setSlots] = useState(pool?.slots ?? 1)
  const [deferred, setDeferred] = useState(pool?.include_deferred ?? false)
  const save = useAction(
    () => ask(client.PUT('/api/v1/pools/{name}', { params: { path: { name } }, body: { slots, include_deferred: deferred } })),
    close,
  )
  return (
    <Dialog title={pool ? `Change ${pool.name}` : 'New pool'} close={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          save.mutate(undefined)
        }}
      >
        <div className="field">
          <label htmlFor="name">Name</label>
          <input id="name" value={name} required disabled={Boolean(pool)} onChange={(event) => setName(event.target.value)} />
        </div>
        <div className="field">
          <label htmlFor="slots">Slots</label>
          <input id="slots" type="number" min={0} value={slots} onChange={(event) => setSlots(Number(event.target.value))} />
        </div>
        <label className="tick">
          <input type="checkbox" checked={deferred} onChange={(event) => setDeferred(event.target.checked)} /> tasks that wait without a worker keep their slots
        </label>
        {save.error && <Failed error={save.error} />}
        <div className="actions">
          <button type="submit" className="primary" disabled={save.isPending}>
            Save
          </button>
        </div>
      </form>
    </Dialog>
  )
}
