import type { Schemas } from '../api/client'
import { Empty } from './Notice'
import { Scroll } from './Scroll'
import { Time } from './Time'

export function AuditTable({ entries }: { entries: Schemas['AuditEntry'][] }) {
  if (entries.length === 0) return <Empty title="Nothing was changed">Changes appear here, with who made them.</Empty>
  return (
    <Scroll label="Changes">
      <table className="list">
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Who</th>
            <th scope="col">What</th>
            <th scope="col">Of what</th>
            <th scope="col">Before → after</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <tr key={entry.id}>
              <td>
                <Time at={entry.at} seconds />
              </td>
              <td>{entry.who}</td>
              <td>
                <code>{entry.action}</code>
              </td>
              <td className="break">{entry.subject}</td>
              <td>
                <code className="break">
                  {entry.before === null ? '' : `${JSON.stringify(entry.before)} → `}
                  {JSON.stringify(entry.after)}
                </code>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  )
}
