// Debian's chromium on the real binary. What the tests need is said by the environment: TOWPATH_URL,
// TOWPATH_SCREENSHOTS, and CHROMIUM if it is not /usr/bin/chromium.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

export const URL = need('TOWPATH_URL')
const SCREENSHOTS = need('TOWPATH_SCREENSHOTS')
export const ADMIN = { user: 'admin', password: need('TOWPATH_ADMIN_PASSWORD') }
export const VIEWER = { user: 'viewer', password: need('TOWPATH_VIEWER_PASSWORD') }

mkdirSync(SCREENSHOTS, { recursive: true })

function need(name) {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set; cargo nextest run ui sets up all that is needed`)
  return value
}

export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
})

/** A page of its own that fails its test if the browser reports an error or anything comes from elsewhere. */
export async function open(who, options = {}) {
  const context = await browser.newContext({ baseURL: URL, viewport: { width: 1280, height: 860 }, ...options })
  const page = await context.newPage()
  const wrong = []
  page.on('pageerror', (error) => wrong.push(String(error)))
  page.on('console', (message) => {
    // A refused request is shown by the page, and said by the browser too.
    if (message.type() === 'error' && !/status of (4\d\d|503)/.test(message.text())) wrong.push(message.text())
  })
  page.on('request', (request) => {
    if (!request.url().startsWith(URL) && !request.url().startsWith('data:')) wrong.push(`from elsewhere: ${request.url()}`)
  })
  page.setDefaultTimeout(15_000)
  if (who) await logIn(page, who)
  return { page, context, wrong }
}

export async function logIn(page, { user, password }) {
  await page.goto('/')
  await page.getByLabel('User').fill(user)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('navigation', { name: 'Views' }).waitFor({ state: 'attached' })
}

export async function shoot(page, name) {
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: false })
}

/** The API as the page's session may use it. */
export async function api(page, method, path, body) {
  return page.evaluate(
    async ([method, path, body]) => {
      const session = await (await fetch('/api/v1/session')).json()
      const headers = { 'Content-Type': 'application/json', 'X-CSRF-Token': session.csrf_token ?? '' }
      const answer = await fetch(`/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) })
      const text = await answer.text()
      return { status: answer.status, body: text ? JSON.parse(text) : undefined }
    },
    [method, path, body],
  )
}

/** Asks again until it holds; the test's own time limit ends it. */
export async function until(holds) {
  for (;;) {
    const found = await holds()
    if (found) return found
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
