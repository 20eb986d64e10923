// Clearing and marking, with a look at what is affected before it is.
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ask, client, type Schemas } from '../api/client'
import { Dialog } from './Dialog'
import { Failed, Loaded } from './Notice'
import { State } from './State'
import { useAction } from './useAction'

export type Wanted = { kind: 'clear' | 'mark'; task?: string; map_index?: number; only_failed?: boolean }

type Options = {
  upstream: boolean
  downstream: boolean
  past: boolean
  future: boolean
  only_failed: boolean
  latest_version: boolean
}

const SHOWN = 200

export function ChangeDialog({ runKey, wanted, close }: { runKey: string; wanted: Wanted; close: () => void }) {
  const clearing = wanted.kind === 'clear'
  const [options, setOptions] = useState<Options>({
    upstream: false,
    downstream: clearing && Boolean(wanted.task),
    past: false,
    future: false,
    only_failed: wanted.only_failed ?? false,
    latest_version: false,
  })
  const [state, setState] = useState<'success' | 'failed'>('success')
  const send = (dry_run: boolean) => change(runKey, wanted, options, state, dry_run)
  const preview = useQuery({
    queryKey: ['preview', runKey, wanted, options, state],
    queryFn: () => send(true),
    placeholderData: keepPreviousData,
    retry: false,
  })
  const act = useAction(() => send(false), close)
  const tick = (name: keyof Options, label: string) => (
    <label className="tick">
      <input type="checkbox" checked={options[name]} onChange={(event) => setOptions({ ...options, [name]: event.target.checked })} /> {label}
    </label>
  )
  const of = wanted.task ?? 'the run'
  const wholeRun = !clearing && !wanted.task
  return (
    <Dialog title={`${clearing ? 'Clear' : 'Mark'} ${of}`} close={close} wide>
      <p className="muted">{clearing ? 'What is cleared runs again.' : 'What is marked ends as you say; it does not run.'}</p>
      <div className="ticks">
        {!clearing && (
          <label>
            as{' '}
            <select value={state} onChange={(event) => setState(event.target.value as typeof state)}>
              <option>success</option>
              <option>failed</option>
            </select>
          </label>
        )}
        {wanted.task && tick('upstream', 'and the tasks above')}
        {wanted.task && tick('downstream', 'and the tasks below')}
        {wanted.task && tick('past', 'and earlier runs')}
        {wanted.task && tick('future', 'and later runs')}
        {clearing && tick('only_failed', 'only what failed')}
        {clearing && tick('latest_version', "on the DAG's latest version")}
      </div>
      {wholeRun ? (
        <p>The run itself ends as {state}; tasks that run are stopped.</p>
      ) : (
        <Loaded query={preview}>{(found) => <Preview found={found} />}</Loaded>
      )}
      {act.error && <Failed error={act.error} />}
      <div className="actions">
        <button type="button" onClick={close}>
          Leave it
        </button>
        <button
          type="button"
          className="primary"
          disabled={act.isPending || (!wholeRun && (preview.isPlaceholderData || !preview.data?.instances.length))}
          onClick={() => act.mutate(undefined)}
        >
          {clearing ? 'Clear' : `Mark as ${state}`}
          {!wholeRun && preview.data && ` (${preview.data.instances.length})`}
        </button>
      </div>
    </Dialog>
  )
}

function change(runKey: string, wanted: Wanted, options: Options, state: 'success' | 'failed', dry_run: boolean) {
  const { upstream, downstream, past, future, only_failed, latest_version } = options
  const tasks = wanted.task ? [wanted.task] : []
  const common = { tasks, map_index: wanted.map_index, upstream, downstream, past, future, dry_run }
  const params = { path: { run_key: runKey } }
  return wanted.kind === 'clear'
    ? ask(client.POST('/api/v1/runs/{run_key}/clear', { params, body: { ...common, only_failed, latest_version } }))
    : ask(client.POST('/api/v1/runs/{run_key}/mark', { params, body: { ...common, state } }))
}

function Preview({ found }: { found: Schemas['Changed'] }) {
  const { instances } = found
  if (instances.length === 0) return <p>Nothing is affected.</p>
  return (
    <>
      <p>
        {instances.length} {instances.length === 1 ? 'instance is' : 'instances are'} affected:
      </p>
      <div className="scroll preview" tabIndex={0} role="region" aria-label="Affected instances">
        <table className="list">
          <tbody>
            {instances.slice(0, SHOWN).map((one) => (
              <tr key={`${one.run_key} ${one.task_id} ${one.map_index}`}>
                <td>
                  <State state={one.state} />
                </td>
                <td>
                  {one.task_id}
                  {one.map_index >= 0 && `[${one.map_index}]`}
                </td>
                <td className="muted break">{one.run_id}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {instances.length > SHOWN && <p className="muted">and {instances.length - SHOWN} more</p>}
      </div>
    </>
  )
}
