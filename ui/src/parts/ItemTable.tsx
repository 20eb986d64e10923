import type { ReactNode } from 'react'
import { Scroll } from './Scroll'

type Props<T> = {
  label: string
  columns: string[]
  items: T[]
  /** What its buttons are called by for those who do not see the table. */
  name: (item: T) => string
  /** What tells it apart from the others; its name by default. */
  id?: (item: T) => string
  cells: (item: T) => ReactNode
  change?: { word: string; act: (item: T) => void }
  remove: (item: T) => void
}

/** Items a line each, with what can be done to them at its end. */
export function ItemTable<T>({ label, columns, items, name, id = name, cells, change, remove }: Props<T>) {
  return (
    <Scroll label={label}>
      <table className="list">
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
            <th scope="col">
              <span className="visually-hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr key={id(item)}>
              {cells(item)}
              <td className="row-actions">
                {change && (
                  <button type="button" onClick={() => change.act(item)}>
                    {change.word}
                    <span className="visually-hidden"> {name(item)}</span>
                  </button>
                )}
                <button type="button" className="danger" onClick={() => remove(item)}>
                  Remove<span className="visually-hidden"> {name(item)}</span>
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  )
}
