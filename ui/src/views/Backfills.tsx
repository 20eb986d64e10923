import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { ask, client, type Schemas } from '../api/client'
import { backfills } from '../api/queries'
import { Dialog } from '../parts/Dialog'
import { Empty, Failed, Loaded } from '../parts/Notice'
import { Scroll } from '../parts/Scroll'
import { StateIcon } from '../parts/State'
import { Time } from '../parts/Time'
import { useAction } from '../parts/useAction'
import { backfillsRoute } from '../router'

type Backfill = Schemas['Backfill']

export function Backfills() {
  const { dag_id } = backfillsRoute.useSearch()
  const query = useQuery(backfills(dag_id))
  const [creating, setCreating] = useState(false)
  return (
    <>
      <div className="view-head">
        <h1>Backfills</h1>
        {dag_id && (
          <Link to="/backfills" search={{}} className="chip">
            {dag_id} ✕
          </Link>
        )}
        <span className="grow" />
        <button type="button" className="primary" onClick={() => setCreating(true)}>
          New backfill
        </button>
      </div>
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="There are no backfills">A backfill runs a range of a DAG's schedule, or runs it again.</Empty>
          ) : (
            <Scroll label="Backfills">
              <table className="list">
                <thead>
                  <tr>
                    <th scope="col">DAG</th>
                    <th scope="col">Range</th>
                    <th scope="col">State</th>
                    <th scope="col">Runs</th>
                    <th scope="col">Created</th>
                    <th scope="col">
                      <span className="visually-hidden">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((one) => (
                    <Row key={one.backfill_id} one={one} />
                  ))}
                </tbody>
              </table>
            </Scroll>
          )
        }
      </Loaded>
      {creating && <Create dagId={dag_id} close={() => setCreating(false)} />}
    </>
  )
}

function Row({ one }: { one: Backfill }) {
  const set = useAction((state: Backfill['state']) =>
    ask(client.PATCH('/api/v1/backfills/{backfill_id}', { params: { path: { backfill_id: one.backfill_id } }, body: { state } })),
  )
  const total = Object.values(one.runs).reduce((sum, count) => sum + count, 0)
  const done = (one.runs.success ?? 0) + (one.runs.failed ?? 0)
  const live = one.state === 'running' || one.state === 'paused'
  return (
    <tr>
      <td>
        <Link to="/dags/$dagId" params={{ dagId: one.dag_id }}>
          {one.dag_id}
        </Link>
      </td>
      <td>
        <Time at={one.from} /> to <Time at={one.to} />
      </td>
      <td>{one.state}</td>
      <td>
        <progress max={Math.max(1, total)} value={done} aria-label={`Runs of the backfill of ${one.dag_id}`} />
        <div className="counts">
          {Object.entries(one.runs).map(([state, count]) => (
            <span key={state} className={`state is-${state}`}>
              <StateIcon state={state} size={14} /> {count} {state}
            </span>
          ))}
        </div>
      </td>
      <td>
        <Time at={one.created_at} />
      </td>
      <td className="row-actions">
        {one.state === 'running' && (
          <button type="button" onClick={() => set.mutate('paused')}>
            Pause
          </button>
        )}
        {one.state === 'paused' && (
          <button type="button" onClick={() => set.mutate('running')}>
            Resume
          </button>
        )}
        {live && (
          <button type="button" className="danger" onClick={() => set.mutate('cancelled')}>
            Cancel
          </button>
        )}
        {set.error && <Failed error={set.error} />}
      </td>
    </tr>
  )
}

function Create({ dagId, close }: { dagId?: string; close: () => void }) {
  const [body, setBody] = useState<Schemas['BackfillRequest']>({
    dag_id: dagId ?? '',
    from: '',
    to: '',
    reprocess: 'none',
    max_active_runs: 10,
    reverse: false,
  })
  const send = (dry_run: boolean) => ask(client.POST('/api/v1/backfills', { body: { ...body, dry_run } }))
  const look = useAction(() => send(true))
  const create = useAction(() => send(false), close)
  // What was looked at is no longer what would be created.
  const set = (change: Partial<typeof body>) => {
    setBody({ ...body, ...change })
    look.reset()
  }
  const text = (name: 'dag_id' | 'from' | 'to', label: string, hint?: string) => (
    <div className="field">
      <label htmlFor={name}>{label}</label>
      <input id={name} value={body[name]} required onChange={(event) => set({ [name]: event.target.value })} />
      {hint && <p className="hint">{hint}</p>}
    </div>
  )
  return (
    <Dialog title="New backfill" close={close} wide>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          look.mutate(undefined)
        }}
      >
        {text('dag_id', 'DAG')}
        {text('from', 'First logical date', "A date in the DAG's timezone, or an instant")}
        {text('to', 'Last logical date')}
        <div className="field">
          <label htmlFor="reprocess">Dates that have a run</label>
          <select id="reprocess" value={body.reprocess} onChange={(event) => set({ reprocess: event.target.value as typeof body.reprocess })}>
            <option value="none">leave them</option>
            <option value="failed">run failed ones again</option>
            <option value="completed">run them again</option>
          </select>
        </div>
        <div className="field">
          <label htmlFor="max">Runs at once</label>
          <input id="max" type="number" min={1} value={body.max_active_runs} onChange={(event) => set({ max_active_runs: Number(event.target.value) })} />
        </div>
        <label className="tick">
          <input type="checkbox" checked={body.reverse} onChange={(event) => set({ reverse: event.target.checked })} /> the latest date first
        </label>
        {look.error && <Failed error={look.error} />}
        {look.data && <Steps steps={look.data.steps} />}
        {create.error && <Failed error={create.error} />}
        <div className="actions">
          <button type="submit" disabled={look.isPending}>
            Look first
          </button>
          <button type="button" className="primary" disabled={create.isPending || !look.data} onClick={() => create.mutate(undefined)}>
            Create
          </button>
        </div>
      </form>
    </Dialog>
  )
}

function Steps({ steps }: { steps: Schemas['BackfillStep'][] }) {
  const todo = steps.filter((step) => step.action !== 'skip').length
  return (
    <>
      <p>
        {todo} of {steps.length} dates run:
      </p>
      <div className="scroll preview" tabIndex={0} role="region" aria-label="What would be done">
        <table className="list">
          <tbody>
            {steps.slice(0, 400).map((step) => (
              <tr key={step.logical_date}>
                <td>
                  <Time at={step.logical_date} />
                </td>
                <td>{step.action.replaceAll('_', ' ')}</td>
                <td className="muted">{step.reason ?? step.run_id}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  )
}
