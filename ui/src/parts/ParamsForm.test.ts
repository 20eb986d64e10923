import { expect, test } from 'vitest'
import { initialTexts, paramsOf } from './ParamsForm'

const schema = {
  properties: {
    who: { type: 'string', default: 'world' },
    rows: { type: 'integer' },
    full: { type: 'boolean', default: false },
    list: { type: 'array' },
  },
}

test('what stands in the fields is what the schema takes', () => {
  const check = (texts: Record<string, string>, expected: unknown) =>
    expect(paramsOf(schema, { ...initialTexts(schema), ...texts })).toEqual(expected)
  check({}, { who: 'world', full: false })
  check({ rows: '7', full: 'true', list: '[1]' }, { who: 'world', rows: 7, full: true, list: [1] })
  check({ who: '' }, { who: '', full: false })
  expect(() => paramsOf(schema, { rows: 'many' })).toThrow('rows: many is not a integer')
})
