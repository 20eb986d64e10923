import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { ask, client as api, setCsrf, type Schemas } from '../api/client'
import { Failed } from '../parts/Notice'

/** The token that `towpath standalone` has put behind the `#`, where no server sees it. */
function invitedBy(): string | undefined {
  return /^#token=(.+)$/.exec(location.hash)?.[1]
}

export function Login() {
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
    </main>
  )
}
