import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { ask, client as api, setCsrf, type Schemas } from '../api/client'
import { Failed } from '../parts/Notice'

/** The token that `towpath standalone` has put behind the `#`, where no server sees it. */
function invitedBy(): string | undefined {
  return /^#token=(.+)$/.exec(location.hash)?.[1]
}

/** Why the provider's login did not come to its end, by the word in the address. */
const REFUSALS: Record<string, string> = {
  denied: 'The provider says that the login was not allowed. Try again, or log in with a name and a password.',
  disabled: 'You are known here, but not let in any more. Ask an admin.',
  no_role: 'You are known now, but have no role in any team yet. Ask an admin for one, then log in again.',
  name_taken: 'Your name belongs to another user here. Ask an admin to remove that user, then log in again.',
  bad_name: 'None of the names that the provider has for you can be a user name here. Ask whoever runs the provider for one of letters, digits and _ - . @ +.',
  too_many: 'Too many tries from where you are. Wait a minute, then log in again.',
  unavailable: 'Towpath cannot let you in at the moment; its log says why. Try again in a moment.',
  provider_away: 'The provider does not answer. Try again in a moment, or log in with a name and a password.',
  provider_unsound: 'What the provider says could not be verified. Ask whoever runs Towpath; its log says more.',
  stale: 'That login was begun elsewhere, or too long ago. Begin it again.',
}

/** Where to go when logged in: here, without what was said about the last try. */
function hereafter(): string {
  const search = new URLSearchParams(location.search)
  search.delete('login')
  const rest = search.toString()
  return location.pathname + (rest && `?${rest}`)
}

export function Login() {
  const why = new URLSearchParams(location.search).get('login') ?? ''
  const refused = Object.hasOwn(REFUSALS, why) && REFUSALS[why]
  const client = useQueryClient()
  const [user, setUser] = useState('')
  const [password, setPassword] = useState('')
  const [token, setToken] = useState('')
  const login = useMutation({
    mutationFn: (body: Schemas['LoginRequest']) => ask(api.POST('/api/v1/session', { body })),
    onSuccess: (session) => {
      setCsrf(session.csrf_token)
      client.setQueryData(['session'], session)
    },
  })
  const options = useQuery({ queryKey: ['login-options'], queryFn: () => ask(api.GET('/api/v1/session/options')) })
  const { mutate } = login
  useEffect(() => {
    const invited = invitedBy()
    if (!invited) return
    history.replaceState(null, '', location.pathname + location.search)
    mutate({ token: invited })
  }, [mutate])
  return (
    <main className="login">
      <h1>
        <img src="/favicon.svg" alt="" width={32} height={32} /> Towpath
      </h1>
      {refused && (
        <div className="failed" role="alert">
          <p>{refused}</p>
        </div>
      )}
      <form
        onSubmit={(event) => {
          event.preventDefault()
          login.mutate(token ? { token } : { user, password })
        }}
      >
        <div className="field">
          <label htmlFor="user">User</label>
          <input id="user" autoComplete="username" value={user} onChange={(event) => setUser(event.target.value)} required={!token} />
        </div>
        <div className="field">
          <label htmlFor="password">Password</label>
          <input
            id="password"
            type="password"
            autoComplete="current-password"
            value={password}
            onChange={(event) => setPassword(event.target.value)}
            required={!token}
          />
        </div>
        <details>
          <summary>Use a token instead</summary>
          <div className="field">
            <label htmlFor="token">Token</label>
            <input id="token" type="password" autoComplete="off" value={token} onChange={(event) => setToken(event.target.value)} />
            <p className="hint">
              <code>towpath standalone</code> prints one; <code>towpath token create USER</code> makes more.
            </p>
          </div>
        </details>
        {login.error && <Failed error={login.error} />}
        <button type="submit" className="primary" disabled={login.isPending}>
          Log in
        </button>
      </form>
      {options.data?.provider && (
        <a className="button" href={`/api/v1/session/provider?to=${encodeURIComponent(hereafter())}`}>
          Log in with {options.data.provider}
        </a>
      )}
    </main>
  )
}
