// Every view, wide and narrow, light and dark: no serious finding of axe, and a screenshot for people to look at.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { ADMIN, api, browser, open, shoot, until } from './browser.mjs'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const views = {}

before(async () => {
  const { page, context } = await open(ADMIN)
  const { body: run } = await api(page, 'POST', '/dags/form/runs', { params: { rows: 2 } })
  const { body: failed } = await api(page, 'POST', '/dags/broken/runs', {})
  const ended = async (key) => ['success', 'failed'].includes((await api(page, 'GET', `/runs/${key}`)).body.state)
  await until(() => ended(run.run_key))
  await until(() => ended(failed.run_key))
  await api(page, 'PUT', '/pools/warehouse', { slots: 4 })
  await api(page, 'PUT', '/variables/region', { value: 'east', description: 'Where the data is' })
  await api(page, 'PUT', '/connections/mail', { uri: 'smtp://user:secret@mail:25' })
  Object.assign(views, {
    home: '/',
    dags: '/dags',
    'dag-grid': '/dags/daily',
    'dag-graph': '/dags/flights_daily?tab=graph',
    'dag-gantt': '/dags/form?tab=gantt',
    'dag-calendar': '/dags/daily?tab=calendar',
    'dag-durations': '/dags/form?tab=durations',
    'dag-code': '/dags/form?tab=code',
    'dag-details': '/dags/form?tab=details',
    'dag-events': '/dags/form?tab=events',
    runs: '/runs',
    run: `/runs/${run.run_key}`,
    'run-graph': `/runs/${run.run_key}?tab=graph`,
    'run-gantt': `/runs/${run.run_key}?tab=gantt`,
    'run-details': `/runs/${run.run_key}?tab=details`,
    'run-failed': `/runs/${failed.run_key}`,
    'task-log': `/runs/${run.run_key}/tasks/say`,
    'task-details': `/runs/${failed.run_key}/tasks/breaks?tab=details`,
    'task-rendered': `/runs/${run.run_key}/tasks/say?tab=rendered`,
    backfills: '/backfills',
    queue: '/queue',
    workers: '/workers',
    assets: '/assets',
    pools: '/pools',
    variables: '/variables',
    connections: '/connections',
    audit: '/audit',
    users: '/users',
    api: '/api',
  })
  await context.close()
})
after(() => browser.close())

async function look(page, name, address) {
  await page.goto(address)
  await page.locator('main h1').first().waitFor()
  if (/graph/.test(name)) await page.locator('.node').first().waitFor()
  await page.waitForFunction(() => !document.querySelector('.loading'))
  await shoot(page, name)
}

async function findings(page) {
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  return serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`)
}

for (const colorScheme of ['light', 'dark']) {
  test(`every view is accessible and drawn, ${colorScheme}`, { timeout: 240_000 }, async () => {
    const { page, wrong } = await open(ADMIN, { colorScheme })
    const serious = {}
    for (const [name, address] of Object.entries(views)) {
      await look(page, `${name}-${colorScheme}`, address)
      const found = await findings(page)
      if (found.length > 0) serious[name] = found
    }
    assert.deepEqual(serious, {})
    assert.deepEqual(wrong, [])
  })
}

test('every view fits a narrow screen', { timeout: 240_000 }, async () => {
  const { page, wrong } = await open(undefined, { viewport: { width: 390, height: 844 } })
  await page.goto('/')
  await shoot(page, 'login-narrow')
  await page.getByLabel('User').fill(ADMIN.user)
  await page.getByLabel('Password').fill(ADMIN.password)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('button', { name: 'Menu' }).click()
  await shoot(page, 'menu-narrow')
  const wide = []
  for (const [name, address] of Object.entries(views)) {
    await look(page, `${name}-narrow`, address)
    if (await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth)) wide.push(name)
  }
  assert.deepEqual(wide, [])
  assert.deepEqual(wrong, [])
})

test('the dialogs are accessible', { timeout: 60_000 }, async () => {
  const { page, wrong } = await open(ADMIN)
  const serious = {}
  const dialogs = { 'dialog-trigger': ['/dags/form', 'Trigger'], 'dialog-backfill': ['/backfills', 'New backfill'], 'dialog-pool': ['/pools', 'New pool'], 'dialog-user': ['/users', 'New user'] }
  for (const [name, [address, button]] of Object.entries(dialogs)) {
    await page.goto(address)
    await page.getByRole('button', { name: button, exact: true }).click()
    await page.getByRole('dialog').locator('button[type=submit]').waitFor()
    await shoot(page, name)
    const found = await findings(page)
    if (found.length > 0) serious[name] = found
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
  }
  assert.deepEqual(serious, {})
  assert.deepEqual(wrong, [])
})
