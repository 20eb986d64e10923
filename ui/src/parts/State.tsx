import { SHAPES, STATES, type TaskState } from './states'

/** The shapes, once a page; everything else refers to them. */
export function StateSymbols() {
  return (
    <svg className="symbols" aria-hidden="true">
      {STATES.map((state) => (
        <symbol id={`state-${state}`} key={state} viewBox="0 0 16 16">
          <Shape state={state} />
        </symbol>
      ))}
    </svg>
  )
}

function Shape({ state }: { state: TaskState }) {
  const { fill, line, cut } = SHAPES[state]
  return (
    <>
      {line && <path d={line} className="shape-line" />}
      {fill && <path d={fill} className="shape-fill" />}
      {cut && <path d={cut} className="shape-cut" />}
    </>
  )
}

export function StateIcon({ state, size = 16 }: { state: string; size?: number }) {
  return (
    <svg className={`state-icon is-${state}`} width={size} height={size} aria-hidden="true">
      <use href={`#state-${state}`} />
    </svg>
  )
}

/** Icon and word. */
export function State({ state }: { state: string }) {
  return (
    <span className={`state is-${state}`}>
      <StateIcon state={state} />
      {state.replaceAll('_', ' ')}
    </span>
  )
}
