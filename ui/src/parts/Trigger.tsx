import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { ask, client, type Schemas } from '../api/client'
import { dag } from '../api/queries'
import { Dialog } from './Dialog'
import { Failed, Loaded } from './Notice'
import { initialTexts, ParamsForm, paramsOf, type ParamsSchema } from './ParamsForm'
import { useAction } from './useAction'

/** Starts a run, with a form made of the Dag's params. */
export function Trigger({ dagId, close }: { dagId: string; close: () => void }) {
  const query = useQuery(dag(dagId))
  return (
    <Dialog title={`Trigger ${dagId}`} close={close}>
      <Loaded query={query}>{(found) => <Form dag={found} close={close} />}</Loaded>
    </Dialog>
  )
}

/** Also where the page came by plain http, and `crypto.randomUUID` is not there. */
function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

function Form({ dag, close }: { dag: Schemas['DagDetail']; close: () => void }) {
  const schema = dag.params_schema as ParamsSchema
  const navigate = useNavigate()
  const [texts, setTexts] = useState(() => initialTexts(schema))
  const [date, setDate] = useState('')
  // Sending twice by a double click, or again after a lost answer, starts one run.
  const [key] = useState(newKey)
  const trigger = useAction(
    async () => {
      const body = { params: paramsOf(schema, texts), logical_date: date || undefined }
      const params = { path: { dag_id: dag.dag_id }, header: { 'Idempotency-Key': key } }
      return ask(client.POST('/api/v1/dags/{dag_id}/runs', { params, body }))
    },
    () => {
      close()
      void navigate({ to: '/dags/$dagId', params: { dagId: dag.dag_id }, search: { tab: 'grid' } })
    },
  )
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        trigger.mutate(undefined)
      }}
    >
      <div className="field">
        <label htmlFor="logical-date">Logical date</label>
        <input id="logical-date" value={date} placeholder="now" onChange={(event) => setDate(event.target.value)} />
        <p className="hint">
          A date in {dag.timezone}, or an instant such as 2013-01-31T06:00:00Z. Empty: now.
        </p>
      </div>
      <ParamsForm schema={schema} texts={texts} change={setTexts} />
      {dag.paused && <p className="warning">The DAG is paused: the run waits until it goes on.</p>}
      {trigger.error && <Failed error={trigger.error} />}
      <div className="actions">
        <button type="submit" className="primary" disabled={trigger.isPending}>
          Trigger
        </button>
      </div>
    </form>
  )
}
