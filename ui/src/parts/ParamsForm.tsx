// A form from the JSON Schema of a Dag's params.
import { useId } from 'react'

type Schema = {
  type?: string | string[]
  enum?: unknown[]
  default?: unknown
  description?: string
  title?: string
  format?: string
  minimum?: number
  maximum?: number
}

export type ParamsSchema = { properties?: Record<string, Schema>; required?: string[] }
export type Texts = Record<string, string>

const kindOf = ({ type }: Schema) => (Array.isArray(type) ? type.find((one) => one !== 'null') : type)
const isText = (schema: Schema) => kindOf(schema) === 'string'

/** What stands in the fields at first. */
export function initialTexts(schema: ParamsSchema): Texts {
  const text = (one: Schema) => {
    if (one.default === undefined) return ''
    return typeof one.default === 'string' ? one.default : JSON.stringify(one.default)
  }
  return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, one]) => [name, text(one)]))
}

/** The params that the fields stand for. Throws with the name of the field that is no JSON. */
export function paramsOf(schema: ParamsSchema, texts: Texts): Record<string, unknown> {
  const params: Record<string, unknown> = {}
  for (const [name, one] of Object.entries(schema.properties ?? {})) {
    const text = texts[name] ?? ''
    if (isText(one) || (!one.type && one.enum?.includes(text))) {
      if (text !== '' || one.default !== undefined) params[name] = text
      continue
    }
    if (text.trim() === '') continue
    try {
      params[name] = JSON.parse(text)
    } catch {
      if (one.type) throw new Error(`${name}: ${text} is not a ${kindOf(one)}, written as JSON`)
      params[name] = text
    }
  }
  return params
}

export function ParamsForm({ schema, texts, change }: { schema: ParamsSchema; texts: Texts; change: (texts: Texts) => void }) {
  const fields = Object.entries(schema.properties ?? {})
  if (fields.length === 0) return <p className="muted">This Dag has no params.</p>
  return (
    <div className="fields">
      {fields.map(([name, one]) => (
        <Field
          key={name}
          name={name}
          schema={one}
          required={schema.required?.includes(name) ?? false}
          text={texts[name] ?? ''}
          change={(text) => change({ ...texts, [name]: text })}
        />
      ))}
    </div>
  )
}

type FieldProps = { name: string; schema: Schema; required: boolean; text: string; change: (text: string) => void }

function Field({ name, schema, required, text, change }: FieldProps) {
  const id = useId()
  return (
    <div className="field">
      <label htmlFor={id}>
        {schema.title ?? name}
        {required && <span className="muted"> (required)</span>}
      </label>
      <Control id={id} name={name} schema={schema} required={required} text={text} change={change} />
      {schema.description && <p className="hint">{schema.description}</p>}
    </div>
  )
}

function Control({ id, name, schema, required, text, change }: FieldProps & { id: string }) {
  const kind = kindOf(schema)
  if (schema.enum) {
    const options = schema.enum.map((one) => (typeof one === 'string' ? one : JSON.stringify(one)))
    return (
      <select id={id} name={name} value={text} required={required} onChange={(event) => change(event.target.value)}>
        {!options.includes(text) && <option value={text}>{text || 'choose …'}</option>}
        {options.map((one) => (
          <option key={one}>{one}</option>
        ))}
      </select>
    )
  }
  if (kind === 'boolean') {
    return (
      <input id={id} name={name} type="checkbox" checked={text === 'true'} onChange={(event) => change(String(event.target.checked))} />
    )
  }
  if (kind === 'object' || kind === 'array') {
    return <textarea id={id} name={name} rows={4} value={text} required={required} spellCheck={false} onChange={(event) => change(event.target.value)} />
  }
  const isNumber = kind === 'integer' || kind === 'number'
  const type = isNumber ? 'number' : schema.format === 'date' ? 'date' : 'text'
  return (
    <input
      id={id}
      name={name}
      type={type}
      step={kind === 'number' ? 'any' : undefined}
      min={schema.minimum}
      max={schema.maximum}
      value={text}
      required={required}
      onChange={(event) => change(event.target.value)}
    />
  )
}
