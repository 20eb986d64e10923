import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ask, client, type Schemas } from '../api/client'
import { session, tokens, users } from '../api/queries'
import { Dialog } from '../parts/Dialog'
import { ItemTable } from '../parts/ItemTable'
import { Empty, Failed, Loaded } from '../parts/Notice'
import { Ago, Time } from '../parts/Time'
import { useAction } from '../parts/useAction'

const ROLES: Schemas['Role'][] = ['viewer', 'operator', 'author', 'admin']
type User = Schemas['User']

export function Users() {
  const who = useQuery(session)
  const isAdmin = who.data?.roles['*'] === 'admin'
  return (
    <>
      <div className="view-head">
        <h1>Users and tokens</h1>
      </div>
      {isAdmin && <UserList />}
      <TokenList />
    </>
  )
}

function UserList() {
  const query = useQuery(users)
  const [edited, setEdited] = useState<User | 'new'>()
  const remove = useAction((name: string) => ask(client.DELETE('/api/v1/users/{name}', { params: { path: { name } } })))
  return (
    <section>
      <div className="view-head">
        <h2>Users</h2>
        <span className="grow" />
        <button type="button" onClick={() => setEdited('new')}>
          New user
        </button>
      </div>
      {remove.error && <Failed error={remove.error} />}
      <Loaded query={query}>
        {({ items }) => (
          <ItemTable
            label="Users"
            columns={['User', 'Roles', 'Logs in by']}
            items={items}
            name={(user) => user.name}
            cells={(user) => (
              <>
                <td className="strong">
                  {user.name}
                  {user.disabled && <span className="muted"> (disabled)</span>}
                </td>
                <td>
                  {Object.entries(user.roles)
                    .map(([team, role]) => (team === '*' ? `${role} in all teams` : `${role} in ${team}`))
                    .join(', ')}
                </td>
                <td>{[user.has_password && 'password', user.has_provider && 'OpenID provider'].filter(Boolean).join(', ') || 'tokens alone'}</td>
              </>
            )}
            change={{ word: 'Change', act: setEdited }}
            remove={(user) => remove.mutate(user.name)}
          />
        )}
      </Loaded>
      {edited && <UserForm user={edited === 'new' ? undefined : edited} close={() => setEdited(undefined)} />}
    </section>
  )
}

/** `team=role` between blanks, as on the command line. */
const rolesText = (roles: User['roles']) => Object.entries(roles).map(([team, role]) => (team === '*' ? role : `${team}=${role}`)).join(' ')

function rolesOf(text: string): User['roles'] {
  const roles: User['roles'] = {}
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const [team, role] = word.includes('=') ? (word.split('=') as [string, string]) : ['*', word]
    if (!ROLES.includes(role as Schemas['Role'])) throw new Error(`${role} is not a role; write ${ROLES.join(', ')}`)
    roles[team] = role as Schemas['Role']
  }
  return roles
}

function UserForm({ user, close }: { user?: User; close: () => void }) {
  const [name, setName] = useState(user?.name ?? '')
  const [roles, setRoles] = useState(rolesText(user?.roles ?? { '*': 'viewer' }))
  const [password, setPassword] = useState('')
  const [disabled, setDisabled] = useState(user?.disabled ?? false)
  const save = useAction(async () => {
    const body = { roles: rolesOf(roles), disabled, password: password || undefined }
    return ask(client.PUT('/api/v1/users/{name}', { params: { path: { name } }, body }))
  }, close)
  return (
    <Dialog title={user ? `Change ${user.name}` : 'New user'} close={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          save.mutate(undefined)
        }}
      >
        <div className="field">
          <label htmlFor="name">Name</label>
          <input id="name" value={name} required disabled={Boolean(user)} onChange={(event) => setName(event.target.value)} />
        </div>
        <div className="field">
          <label htmlFor="roles">Roles</label>
          <input id="roles" value={roles} onChange={(event) => setRoles(event.target.value)} />
          <p className="hint">{ROLES.join(', ')} in all teams, or team=role; between blanks</p>
        </div>
        <div className="field">
          <label htmlFor="password">{user?.has_password ? 'New password' : 'Password'}</label>
          <input id="password" type="password" autoComplete="new-password" value={password} onChange={(event) => setPassword(event.target.value)} />
          <p className="hint">At least 10 characters. Empty: as it was.</p>
        </div>
        <label className="tick">
          <input type="checkbox" checked={disabled} onChange={(event) => setDisabled(event.target.checked)} /> let in no more
        </label>
        {save.error && <Failed error={save.error} />}
        <div className="actions">
          <button type="submit" className="primary" disabled={save.isPending}>
            Save
          </button>
        </div>
      </form>
    </Dialog>
  )
}

function TokenList() {
  const query = useQuery(tokens)
  const [name, setName] = useState('')
  const [role, setRole] = useState<Schemas['Role']>('viewer')
  const [days, setDays] = useState(90)
  const create = useAction(() => ask(client.POST('/api/v1/tokens', { body: { name, role_max: role, days } })))
  const remove = useAction((id: string) => ask(client.DELETE('/api/v1/tokens/{id}', { params: { path: { id } } })))
  return (
    <section>
      <h2>Tokens</h2>
      <form
        className="tools"
        onSubmit={(event) => {
          event.preventDefault()
          create.mutate(undefined)
        }}
      >
        <label>
          For what <input value={name} required onChange={(event) => setName(event.target.value)} />
        </label>
        <label>
          At most{' '}
          <select value={role} onChange={(event) => setRole(event.target.value as typeof role)}>
            {ROLES.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </label>
        <label>
          Days <input type="number" min={1} max={3660} value={days} onChange={(event) => setDays(Number(event.target.value))} />
        </label>
        <button type="submit" disabled={create.isPending}>
          Make a token
        </button>
      </form>
      {create.error && <Failed error={create.error} />}
      {create.data && (
        <p className="secret" role="status">
          Copy it now, it is not shown again: <code className="break">{create.data.secret}</code>
        </p>
      )}
      {remove.error && <Failed error={remove.error} />}
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="There are no tokens">Programs use the API with a token.</Empty>
          ) : (
            <ItemTable
              label="Tokens"
              columns={['For what', 'User', 'At most', 'Made', 'Expires']}
              items={items}
              name={(token) => token.name}
              id={(token) => token.id}
              cells={(token) => (
                <>
                  <td>{token.name}</td>
                  <td>{token.user}</td>
                  <td>{token.role_max}</td>
                  <td>
                    <Time at={token.created_at} />
                  </td>
                  <td>
                    <Ago at={token.expires_at} />
                  </td>
                </>
              )}
              remove={(token) => remove.mutate(token.id)}
            />
          )
        }
      </Loaded>
    </section>
  )
}
