// Logging in through an OpenID provider.
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { ADMIN, api, browser, open, shoot, URL } from './browser.mjs'

after(() => browser.close())

const limit = { timeout: 60_000 }

/** To the provider, and through its forms. */
async function logInThere(page, account, from = '/') {
  await page.goto(from)
  await page.getByRole('link', { name: 'Log in with the works' }).click()
  await page.getByPlaceholder('Enter any login').fill(account)
  await page.getByPlaceholder('and password').fill('any')
  await page.getByRole('button', { name: 'Sign-in' }).click()
  await page.getByRole('button', { name: 'Continue' }).click()
}

/** A browser of its own, which may go to the provider. */
async function fresh() {
  const { page } = await open()
  return page
}

test('whom the provider vouches for comes in with the roles of their groups, to where they were going', limit, async () => {
  const page = await fresh()
  await logInThere(page, 'ann.analysts.strangers', '/dags?search=form')
  await page.getByRole('navigation', { name: 'Views' }).waitFor({ state: 'attached' })
  assert.equal(page.url(), `${URL}/dags?search=form`)
  const { body: session } = await api(page, 'GET', '/session')
  assert.deepEqual([session.user, session.roles], ['ann', { analytics: 'viewer' }])
  const { status } = await api(page, 'PUT', '/pools/mine', { slots: 1 })
  assert.equal(status, 403)
  const cookies = await page.context().cookies()
  const own = cookies.filter((cookie) => cookie.name.startsWith('towpath_') && cookie.domain === '127.0.0.1')
  assert.deepEqual(own.map((cookie) => [cookie.name, cookie.httpOnly, cookie.sameSite]), [['towpath_session', true, 'Lax']])
})

test('at the next login the roles are those of the groups then', limit, async () => {
  const page = await fresh()
  await logInThere(page, 'root.platform')
  await page.getByRole('navigation', { name: 'Views' }).waitFor({ state: 'attached' })
  const { body: session } = await api(page, 'GET', '/session')
  assert.deepEqual(session.roles, { '*': 'admin' })
  const put = await api(page, 'PUT', '/users/ann', { disabled: true })
  assert.deepEqual([put.status, put.body.has_provider], [200, true])
  const again = await fresh()
  await logInThere(again, 'ann.analysts.strangers')
  await again.getByRole('alert').getByText('not let in any more').waitFor()
  await shoot(again, 'login-refused')
})

test('who has no group that counts is told so, and is known from then on', limit, async () => {
  const page = await fresh()
  await logInThere(page, 'bob.strangers')
  await page.getByRole('alert').getByText('no role in any team').waitFor()
  assert.equal((await page.context().cookies()).some((cookie) => cookie.name === 'towpath_session'), false)
  const { page: admin } = await open(ADMIN)
  await admin.goto('/users')
  await admin.getByRole('cell', { name: 'bob', exact: true }).waitFor()
})

test('nobody gets the name of somebody who is here already', limit, async () => {
  const page = await fresh()
  await logInThere(page, 'viewer.platform')
  await page.getByRole('alert').getByText('belongs to another user').waitFor()
})

test('a login that was called off, forged or begun elsewhere ends where one logs in', limit, async () => {
  const page = await fresh()
  await page.goto('/')
  await page.getByRole('link', { name: 'Log in with the works' }).click()
  await page.getByRole('link', { name: 'Cancel' }).click()
  await page.getByRole('alert').getByText('was not allowed').waitFor()
  await page.goto('/api/v1/session/provider/callback?code=forged&state=forged')
  await page.getByRole('alert').getByText('begun elsewhere').waitFor()
  // With a place to come back to, and another's state.
  await page.goto('/')
  await page.getByRole('link', { name: 'Log in with the works' }).click()
  await page.getByRole('button', { name: 'Sign-in' }).waitFor()
  await page.goto(`${URL}/api/v1/session/provider/callback?code=forged&state=forged`)
  await page.getByRole('alert').getByText('begun elsewhere').waitFor()
})
