// Variables and connections: written, listed, never shown.
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ask, client, type Schemas } from '../api/client'
import { connections, variables } from '../api/queries'
import { Dialog } from '../parts/Dialog'
import { ItemTable } from '../parts/ItemTable'
import { Empty, Failed, Loaded } from '../parts/Notice'
import { Time } from '../parts/Time'
import { useAction } from '../parts/useAction'

type Kind = 'variable' | 'connection'
type Entry = Schemas['VaultEntry']

export const Variables = () => <List kind="variable" />
export const Connections = () => <List kind="connection" />

function List({ kind }: { kind: Kind }) {
  const query = useQuery(kind === 'variable' ? variables : connections)
  const [edited, setEdited] = useState<Entry | 'new'>()
  const remove = useAction((name: string) =>
    kind === 'variable'
      ? ask(client.DELETE('/api/v1/variables/{name}', { params: { path: { name } } }))
      : ask(client.DELETE('/api/v1/connections/{name}', { params: { path: { name } } })),
  )
  return (
    <>
      <div className="view-head">
        <h1>{kind === 'variable' ? 'Variables' : 'Connections'}</h1>
        <span className="muted">Values are sealed: they are written here, and never shown.</span>
        <span className="grow" />
        <button type="button" className="primary" onClick={() => setEdited('new')}>
          New {kind}
        </button>
      </div>
      {remove.error && <Failed error={remove.error} />}
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title={`There are no ${kind}s`}>
              {kind === 'variable' ? (
                <>
                  Templates ask for them as <code>{'{{ var.value.NAME }}'}</code>.
                </>
              ) : (
                <>
                  Templates ask for them as <code>{'{{ conn.NAME.host }}'}</code>.
                </>
              )}
            </Empty>
          ) : (
            <ItemTable
              label="Entries"
              columns={['Name', 'Description', 'Hidden in logs', 'Changed']}
              items={items}
              name={(entry) => entry.name}
              cells={(entry) => (
                <>
                  <td className="strong">{entry.name}</td>
                  <td>{entry.description}</td>
                  <td>{entry.secret ? 'yes' : 'no'}</td>
                  <td>
                    <Time at={entry.updated_at} />
                  </td>
                </>
              )}
              change={{ word: 'Replace', act: setEdited }}
              remove={(entry) => remove.mutate(entry.name)}
            />
          )
        }
      </Loaded>
      {edited && <Form kind={kind} entry={edited === 'new' ? undefined : edited} close={() => setEdited(undefined)} />}
    </>
  )
}

function Form({ kind, entry, close }: { kind: Kind; entry?: Entry; close: () => void }) {
  const [name, setName] = useState(entry?.name ?? '')
  const [value, setValue] = useState('')
  const [description, setDescription] = useState(entry?.description ?? '')
  const [secret, setSecret] = useState(entry?.secret ?? false)
  const params = { path: { name } }
  const save = useAction(
    () =>
      kind === 'variable'
        ? ask(client.PUT('/api/v1/variables/{name}', { params, body: { value, secret, description } }))
        : ask(client.PUT('/api/v1/connections/{name}', { params, body: { uri: value, description } })),
    close,
  )
  return (
    <Dialog title={entry ? `Replace ${entry.name}` : `New ${kind}`} close={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          save.mutate(undefined)
        }}
      >
        <div className="field">
          <label htmlFor="name">Name</label>
          <input id="name" value={name} required disabled={Boolean(entry)} onChange={(event) => setName(event.target.value)} />
        </div>
        <div className="field">
          <label htmlFor="value">{kind === 'variable' ? 'Value' : 'URI or JSON'}</label>
          <textarea id="value" rows={3} value={value} required spellCheck={false} autoComplete="off" onChange={(event) => setValue(event.target.value)} />
          {kind === 'connection' && <p className="hint">type://login:password@host:port/schema?key=value, or Airflow's JSON</p>}
        </div>
        <div className="field">
          <label htmlFor="description">Description</label>
          <input id="description" value={description} onChange={(event) => setDescription(event.target.value)} />
        </div>
        {kind === 'variable' && (
          <label className="tick">
            <input type="checkbox" checked={secret} onChange={(event) => setSecret(event.target.checked)} /> hide it in logs
          </label>
        )}
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
