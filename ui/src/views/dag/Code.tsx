// The DAG file of a version, and how it differs from another.
import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { diffLines } from 'diff'
import { useMemo } from 'react'
import type { Schemas } from '../../api/client'
import { version as one, versions } from '../../api/queries'
import { Loaded } from '../../parts/Notice'
import { formatTime } from '../../parts/Time'
import { useZone } from '../../parts/settings'
import { dagRoute } from '../../router'

type VersionDetail = Schemas['VersionDetail']

const textOf = (version: VersionDetail) => version.source ?? `${JSON.stringify(version.definition, null, 2)}\n`

export function Code({ dagId }: { dagId: string }) {
  const search = dagRoute.useSearch()
  const navigate = useNavigate({ from: dagRoute.fullPath })
  const query = useQuery(versions(dagId))
  const zone = useZone()
  return (
    <Loaded query={query}>
      {({ items }) => {
        const shown = search.version ?? items.find((version) => version.current)?.version ?? items[0]?.version
        const name = (version: (typeof items)[number]) =>
          `${version.version.slice(0, 12)}, ${formatTime(version.deployed_at, zone)}${version.current ? ', current' : ''}`
        const options = items.map((version) => (
          <option key={version.version} value={version.version}>
            {name(version)}
          </option>
        ))
        return (
          <>
            <div className="tools">
              <label>
                Version{' '}
                <select value={shown} onChange={(event) => void navigate({ search: (old) => ({ ...old, version: event.target.value }) })}>
                  {options}
                </select>
              </label>
              <label>
                compared with{' '}
                <select value={search.with ?? ''} onChange={(event) => void navigate({ search: (old) => ({ ...old, with: event.target.value || undefined }) })}>
                  <option value="">nothing</option>
                  {options}
                </select>
              </label>
            </div>
            {shown && <Text dagId={dagId} version={shown} with={search.with} />}
          </>
        )
      }}
    </Loaded>
  )
}

function Text({ dagId, version, with: other }: { dagId: string; version: string; with?: string }) {
  const shown = useQuery(one(dagId, version))
  const before = useQuery({ ...one(dagId, other ?? version), enabled: Boolean(other) })
  return (
    <Loaded query={shown}>
      {(found) =>
        other ? (
          <Loaded query={before}>{(old) => <Difference before={textOf(old)} after={textOf(found)} />}</Loaded>
        ) : (
          <>
            {!found.source && <p className="muted">The file of this version is not known; this is its canonical form.</p>}
            <pre className="code" tabIndex={0}>
              {textOf(found)
                .split('\n')
                .map((line, index) => (
                  <span className="code-line" key={index} data-line={index + 1}>
                    {line}
                    {'\n'}
                  </span>
                ))}
            </pre>
          </>
        )
      }
    </Loaded>
  )
}

function Difference({ before, after }: { before: string; after: string }) {
  const parts = useMemo(() => diffLines(before, after), [before, after])
  if (parts.every((part) => !part.added && !part.removed)) return <p className="muted">The two are the same.</p>
  return (
    <pre className="code" tabIndex={0}>
      {parts.flatMap((part, index) => {
        const sign = part.added ? '+' : part.removed ? '-' : ' '
        const kind = part.added ? 'is-added' : part.removed ? 'is-removed' : ''
        return part.value
          .replace(/\n$/, '')
          .split('\n')
          .map((line, number) => (
            <span className={`code-line ${kind}`} key={`${index}-${number}`}>
              {sign} {line}
              {'\n'}
            </span>
          ))
      })}
    </pre>
  )
}
