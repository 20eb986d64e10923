import { expect, test } from 'vitest'
import { cellOf, rowsOf } from './rows'

const task = (task_id: string, group: string | null = null) => ({ task_id, group, mapped: false })
const tasks = [task('first'), task('load.east', 'load'), task('load.deep.x', 'load.deep'), task('last')]

test('groups stand where their first task does, and fold', () => {
  const check = (folded: string[], search: string | undefined, expected: string[]) => {
    const rows = rowsOf(tasks, new Set(folded), search)
    expect(rows.map((row) => `${'  '.repeat(row.depth)}${row.name}`)).toEqual(expected)
  }
  check([], undefined, ['first', 'load', '  east', '  deep', '    x', 'last'])
  check(['load.deep'], undefined, ['first', 'load', '  east', '  deep', 'last'])
  check(['load'], undefined, ['first', 'load', 'last'])
  check([], 'EAST', ['load', '  east'])
})

test('a group shows what needs most attention', () => {
  const [, group] = rowsOf(tasks, new Set(['load']))
  const check = (states: string, expected: string | undefined) => expect(cellOf(states, group!)).toBe(expected)
  check('sfss', 'failed')
  check('ssrs', 'running')
  check('ssks', 'success')
  check('s  s', undefined)
})
