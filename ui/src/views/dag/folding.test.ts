import { expect, test } from 'vitest'
import type { Schemas } from '../../api/client'
import { around, fold, groupsOf } from './folding'

const task = (task_id: string, depends_on: string[], group: string | null = null) =>
  ({ task_id, depends_on, group }) as unknown as Schemas['GraphTask']
const tasks = [task('a', []), task('g.b', ['a'], 'g'), task('g.h.c', ['g.b'], 'g.h'), task('d', ['g.h.c'])]

test('edges of folded groups are edges of their box', () => {
  const check = (folded: string[], expected: string[]) => {
    const { edges } = fold(tasks, new Set(folded))
    expect(edges.map(([from, to]) => `${from} ${to}`)).toEqual(expected)
  }
  check([], ['a g.b', 'g.b g.h.c', 'g.h.c d'])
  check(['g'], ['a group:g', 'group:g d'])
  check(['g.h'], ['a g.b', 'g.b group:g.h', 'group:g.h d'])
})

test('around a task is what is above and below, and nothing beside', () => {
  const edges: [string, string][] = [['a', 'b'], ['b', 'c'], ['a', 'x']]
  expect([...around('b', edges)].sort()).toEqual(['a', 'b', 'c'])
  expect(groupsOf(tasks)).toEqual(['g', 'g.h'])
})
