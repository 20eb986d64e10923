// The API's reference, made of its own document.
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Loaded } from '../parts/Notice'

type Param = { name: string; in: string; required?: boolean; description?: string }
type Operation = { summary?: string; description?: string; tags?: string[]; parameters?: Param[]; requestBody?: Body; responses?: Record<string, Body & { description?: string }> }
type Body = { content?: Record<string, { schema?: Schema }> }
type Schema = { $ref?: string; type?: string | string[]; items?: Schema; description?: string; properties?: Record<string, Schema>; required?: string[]; enum?: string[] }
type Document = {
  info: { version: string; description?: string }
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

export function Reference() {
  const query = useQuery({
    queryKey: ['openapi'],
    queryFn: async () => (await (await fetch('/api/v1/openapi.json')).json()) as Document,
    staleTime: Infinity,
  })
  const [find, setFind] = useState('')
  return (
    <>
      <div className="view-head">
        <h1>API reference</h1>
        <input type="search" value={find} placeholder="Search endpoints" aria-label="Search endpoints" onChange={(event) => setFind(event.target.value)} />
        <span className="grow" />
        <a className="button" href="/api/v1/openapi.json">
          OpenAPI document
        </a>
      </div>
      <Loaded query={query}>
        {(document) => (
          <>
            <p className="muted">{document.info.description}</p>
            {Object.entries(document.paths).flatMap(([path, operations]) =>
              Object.entries(operations)
                .filter(([method, one]) => `${method} ${path} ${one.summary}`.toLowerCase().includes(find.toLowerCase()))
                .map(([method, one]) => <Endpoint key={`${method} ${path}`} method={method} path={path} one={one} document={document} />),
            )}
          </>
        )}
      </Loaded>
    </>
  )
}

function Endpoint({ method, path, one, document }: { method: string; path: string; one: Operation; document: Document }) {
  const body = Object.values(one.requestBody?.content ?? {})[0]?.schema
  return (
    <details className="endpoint">
      <summary>
        <code className={`method is-${method}`}>{method.toUpperCase()}</code> <code>{path}</code> <span className="muted">{one.summary}</span>
      </summary>
      {one.description && <p>{one.description}</p>}
      {one.parameters && one.parameters.length > 0 && (
        <>
          <h3>Parameters</h3>
          <dl className="facts">
            {one.parameters.map((param) => (
              <div key={`${param.in} ${param.name}`}>
                <dt>
                  <code>{param.name}</code> <span className="muted">{param.in}</span>
                </dt>
                <dd>{param.description ?? (param.required ? 'required' : '')}</dd>
              </div>
            ))}
          </dl>
        </>
      )}
      {body && (
        <>
          <h3>Body</h3>
          <Shape schema={body} document={document} />
        </>
      )}
      <h3>Answers</h3>
      {Object.entries(one.responses ?? {}).map(([status, answer]) => {
        const schema = Object.values(answer.content ?? {})[0]?.schema
        return (
          <div key={status}>
            <p>
              <code>{status}</code> {answer.description}
            </p>
            {status.startsWith('2') && schema && <Shape schema={schema} document={document} />}
          </div>
        )
      })}
    </details>
  )
}

const nameOf = (schema: Schema): string =>
  schema.$ref?.split('/').at(-1) ?? (schema.items ? `list of ${nameOf(schema.items)}` : ([schema.type].flat().join(' or ') || 'any'))

function Shape({ schema, document }: { schema: Schema; document: Document }) {
  const found = schema.$ref ? document.components.schemas[nameOf(schema)] : schema
  if (!found?.properties) return <p className="muted">{nameOf(schema)}</p>
  return (
    <dl className="facts">
      {Object.entries(found.properties).map(([name, one]) => (
        <div key={name}>
          <dt>
            <code>{name}</code> <span className="muted">{nameOf(one)}</span>
          </dt>
          <dd>{one.description}</dd>
        </div>
      ))}
    </dl>
  )
}
