// What is around every view: the menu, who is logged in, how times and colours are shown, and the live connection.
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { Suspense, useEffect, useState } from 'react'
import { ApiError, ask, client as api, setCsrf } from '../api/client'
import { watch, type Connection } from '../api/live'
import { session } from '../api/queries'
import { Dialog } from '../parts/Dialog'
import { Failed } from '../parts/Notice'
import { setTheme, setZone, useTheme, useZone, type Theme } from '../parts/settings'
import { StateSymbols } from '../parts/State'
import { loadEveryView } from '../router'
import { Login } from './Login'

const MENU = [
  { to: '/', name: 'Home', key: 'h' },
  { to: '/dags', name: 'DAGs', key: 'd' },
  { to: '/runs', name: 'Runs', key: 'r' },
  { to: '/backfills', name: 'Backfills', key: 'b' },
  { to: '/queue', name: 'Queue', key: 'q' },
  { to: '/workers', name: 'Workers', key: 'w' },
  { to: '/assets', name: 'Assets', key: 'a' },
  { to: '/pools', name: 'Pools', key: 'p' },
  { to: '/variables', name: 'Variables', key: 'v' },
  { to: '/connections', name: 'Connections', key: 'c' },
  { to: '/audit', name: 'Audit', key: 'l' },
  { to: '/users', name: 'Users and tokens', key: 'u' },
  { to: '/api', name: 'API reference', key: 'i' },
] as const

export function Shell() {
  const who = useQuery(session)
  const isOut = who.error instanceof ApiError && who.error.status === 401
  return (
    <>
      <StateSymbols />
      {isOut ? (
        <Login />
      ) : who.data ? (
        <Inside />
      ) : who.error ? (
        <main className="lonely">
          <Failed error={who.error} retry={() => void who.refetch()} />
        </main>
      ) : (
        <p className="loading muted" role="status">
          Loading …
        </p>
      )}
    </>
  )
}

function Inside() {
  const client = useQueryClient()
  const [connection, setConnection] = useState<Connection>('connecting')
  const [help, setHelp] = useState(false)
  const path = useRouterState({ select: (state) => state.location.pathname })
  const [menu, setMenu] = useState(false)
  useEffect(() => watch(client, setConnection), [client])
  useEffect(loadEveryView, [])
  useEffect(() => setMenu(false), [path])
  useShortcuts(() => setHelp(true))
  return (
    <div className="shell">
      <a className="skip" href="#view">
        Skip to the content
      </a>
      <header className="top">
        <button type="button" className="quiet menu-button" aria-expanded={menu} aria-controls="menu" onClick={() => setMenu(!menu)}>
          ☰ <span className="visually-hidden">Menu</span>
        </button>
        <Link to="/" className="brand">
          <img src="/favicon.svg" alt="" width={22} height={22} /> Towpath
        </Link>
        <span className="grow" />
        <Settings />
        <Who />
      </header>
      <nav id="menu" className={menu ? 'menu is-open' : 'menu'} aria-label="Views">
        {MENU.map(({ to, name }) => (
          <Link key={to} to={to} activeOptions={{ exact: to === '/' }} activeProps={{ 'aria-current': 'page' }}>
            {name}
          </Link>
        ))}
        <button type="button" className="quiet menu-help" onClick={() => setHelp(true)}>
          Keyboard <kbd>?</kbd>
        </button>
        <p className={`connection is-${connection}`} role="status">
          {connection === 'live' ? 'Live' : 'Connecting …'}
        </p>
      </nav>
      <main id="view" tabIndex={-1}>
        <Suspense fallback={<p className="loading muted">Loading …</p>}>
          <Outlet />
        </Suspense>
      </main>
      {help && <Help close={() => setHelp(false)} />}
    </div>
  )
}

function Settings() {
  const theme = useTheme()
  const zone = useZone()
  return (
    <>
      <button type="button" className="quiet" onClick={() => setZone(zone === 'utc' ? 'local' : 'utc')} title="Show times in UTC or in local time">
        {zone === 'utc' ? 'UTC' : 'Local time'}
      </button>
      <label className="visually-hidden" htmlFor="theme">
        Colours
      </label>
      <select id="theme" className="quiet" value={theme} onChange={(event) => setTheme(event.target.value as Theme)}>
        <option value="system">System</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </>
  )
}

function Who() {
  const client = useQueryClient()
  const who = useQuery(session).data
  const logOut = async () => {
    await ask(api.DELETE('/api/v1/session'))
    setCsrf(undefined)
    client.removeQueries({ predicate: (query) => query.queryKey[0] !== 'session' })
    await client.resetQueries({ queryKey: ['session'] })
  }
  if (!who) return null
  return (
    <span className="who">
      <span title={Object.entries(who.roles).map(([team, role]) => `${team}: ${role}`).join(', ')}>{who.user}</span>
      {who.csrf_token !== 'open' && (
        <button type="button" className="quiet" onClick={() => void logOut()}>
          Log out
        </button>
      )}
    </span>
  )
}

/** `g` and a letter go to a view, `/` to the search of this one, `?` to the help. */
function useShortcuts(help: () => void) {
  const navigate = useNavigate()
  useEffect(() => {
    let going = 0
    const pressed = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement
      if (event.ctrlKey || event.metaKey || event.altKey || /^(input|textarea|select)$/i.test(target.tagName)) return
      if (document.querySelector('dialog[open]')) return
      const view = MENU.find(({ key }) => key === event.key)
      if (Date.now() < going && view) void navigate({ to: view.to })
      else if (event.key === '?') help()
      else if (event.key === '/') {
        const search = document.querySelector<HTMLInputElement>('main input[type=search]')
        if (search) {
          event.preventDefault()
          search.focus()
        }
      }
      going = event.key === 'g' ? Date.now() + 1500 : 0
    }
    window.addEventListener('keydown', pressed)
    return () => window.removeEventListener('keydown', pressed)
  }, [navigate, help])
}

function Help({ close }: { close: () => void }) {
  return (
    <Dialog title="Keyboard" close={close}>
      <dl className="keys">
        <dt>
          <kbd>/</kbd>
        </dt>
        <dd>search in this view</dd>
        <dt>
          <kbd>←</kbd> <kbd>↑</kbd> <kbd>↓</kbd> <kbd>→</kbd> <kbd>Enter</kbd>
        </dt>
        <dd>move in the grid and the graph, open</dd>
        {MENU.map(({ key, name }) => (
          <div key={key} className="key">
            <dt>
              <kbd>g</kbd> <kbd>{key}</kbd>
            </dt>
            <dd>{name}</dd>
          </div>
        ))}
        <dt>
          <kbd>?</kbd>
        </dt>
        <dd>this help</dd>
      </dl>
    </Dialog>
  )
}
