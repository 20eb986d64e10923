// What people do, in a real browser, with real runs.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ADMIN, api, browser, logIn, open, shoot, until, URL, VIEWER } from './browser.mjs'

after(() => browser.close())

const limit = { timeout: 120_000 }

test('a run is triggered from the form, goes green live, and its log is read while it runs', limit, async () => {
  const { page, wrong } = await open(ADMIN)
  await page.goto('/dags?search=form')
  await page.getByRole('button', { name: 'Trigger form' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('carrier').selectOption('DL')
  await dialog.getByLabel('rows').fill('12')
  await dialog.getByLabel('Logical date').fill('no date')
  await dialog.getByRole('button', { name: 'Trigger' }).click()
  await dialog.getByRole('alert').getByText('is not a date').waitFor()
  await dialog.getByLabel('Logical date').fill('2026-02-03')
  await dialog.getByRole('button', { name: 'Trigger' }).click()
  // The grid, with the cell that runs.
  await page.getByRole('gridcell', { name: /^say, .*: running$/ }).click()
  await page.getByRole('region', { name: 'Log of attempt 1' }).getByText('row 2').waitFor()
  assert.equal(await page.locator('.view-head .state').innerText(), 'running')
  await shoot(page, 'flow-log-live')
  assert.equal(await page.locator('.log .ansi-green').first().innerText(), 'row 1')
  await page.getByRole('region', { name: 'Log of attempt 1' }).getByText('row 12 of DL').waitFor()
  await page.goto('/dags/form?tab=graph')
  await page.getByRole('button', { name: 'check, success' }).waitFor()
  await page.getByRole('button', { name: 'say, success' }).waitFor()
  await shoot(page, 'flow-graph-green')
  assert.deepEqual(wrong, [])
})

test('the flights of a day are triggered, go green task by task, and are explained', limit, async () => {
  const { page, wrong } = await open(ADMIN)
  await page.goto('/dags/flights_daily')
  await page.getByRole('button', { name: 'Trigger', exact: true }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Logical date').fill('2013-01-03')
  await dialog.getByRole('button', { name: 'Trigger' }).click()
  await page.getByRole('link', { name: 'Graph' }).click()
  // Live: nothing is read again by hand.
  for (const task of ['extract', 'refine_flights', 'extract_weather', 'join', 'load', 'check', 'dashboard']) {
    await page.getByRole('button', { name: `${task}, success` }).waitFor({ timeout: 60_000 })
  }
  await shoot(page, 'flow-flights-graph')
  const { body: runs } = await api(page, 'GET', '/runs?dag_id=flights_daily&counts=true')
  assert.deepEqual([runs.items[0].state, runs.items[0].counts], ['success', { success: 7 }])
  await page.goto(`/runs/${runs.items[0].run_key}/tasks/extract?tab=details`)
  await page.getByText(/"rows": \d+/).waitFor()
  await page.goto('/dags/flights_daily?tab=grid')
  await page.getByRole('gridcell', { name: /^dashboard, .*: success$/ }).waitFor()
  assert.deepEqual(wrong, [])
})

test('a failed task is cleared after a look at what is affected, and recovers', limit, async () => {
  const { page, wrong } = await open(ADMIN)
  const { body: run } = await api(page, 'POST', '/dags/fragile/runs', {})
  await page.goto(`/runs/${run.run_key}`)
  await page.locator('.view-head .state.is-failed').waitFor()
  await page.getByRole('link', { name: 'breaks' }).click()
  await page.getByText('it has ended: failed').waitFor()
  await page.getByRole('button', { name: 'Attempt 1' }).click()
  await page.getByText('looking for the file').waitFor()
  writeFileSync(join(process.env.TOWPATH_DAGS, 'mended'), '')
  await page.getByRole('button', { name: 'Clear …' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText('2 instances are affected').waitFor()
  await shoot(page, 'flow-clear-preview')
  await dialog.getByRole('button', { name: 'Clear (2)' }).click()
  await page.locator('.view-head .state.is-success').waitFor()
  await page.goto(`/runs/${run.run_key}`)
  await page.locator('.view-head .state.is-success').waitFor()
  assert.deepEqual(wrong, [])
})

test('a backfill is looked at first, then run, and shows its progress', limit, async () => {
  const { page, wrong } = await open(ADMIN)
  await page.goto('/backfills')
  await page.getByRole('button', { name: 'New backfill' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('DAG', { exact: true }).fill('daily')
  await dialog.getByLabel('First logical date').fill('2026-03-01')
  await dialog.getByLabel('Last logical date').fill('2026-03-06')
  await dialog.getByRole('button', { name: 'Look first' }).click()
  await dialog.getByText('5 of 5 dates run').waitFor()
  await dialog.getByRole('button', { name: 'Create' }).click()
  await page.getByRole('cell', { name: 'completed' }).waitFor()
  await page.getByText('5 success').waitFor()
  await shoot(page, 'flow-backfill')
  assert.deepEqual(wrong, [])
})

test('a DAG is paused and goes on', limit, async () => {
  const { page, wrong } = await open(ADMIN)
  await page.goto('/dags/daily')
  const active = page.getByRole('switch', { name: 'daily is active' })
  await active.click()
  await until(async () => (await api(page, 'GET', '/dags/daily')).body.paused)
  await page.reload()
  assert.equal(await active.getAttribute('aria-checked'), 'false')
  await active.click()
  await until(async () => !(await api(page, 'GET', '/dags/daily')).body.paused)
  assert.deepEqual(wrong, [])
})

test('one logs in and out, and a wrong password is told', limit, async () => {
  const { page, context } = await open()
  await page.goto('/')
  await page.getByLabel('User').fill('admin')
  await page.getByLabel('Password').fill('not the password')
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('alert').getByText('do not fit').waitFor()
  await logIn(page, ADMIN)
  await page.getByRole('button', { name: 'Log out' }).click()
  await page.getByRole('button', { name: 'Log in' }).waitFor()
  assert.equal((await context.request.get(`${URL}/api/v1/dags`)).status(), 401)
})

test('a viewer who triggers is told what is missing', limit, async () => {
  const { page } = await open(VIEWER)
  await page.goto('/dags?search=form')
  await page.getByRole('button', { name: 'Trigger form' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Trigger' }).click()
  await page.getByRole('alert').getByText('this needs the role operator').waitFor()
  await shoot(page, 'flow-forbidden')
  await page.goto('/audit')
  await page.getByRole('alert').getByText('You may not see or do this').waitFor()
})

test('what is not there is told, with a way on', limit, async () => {
  const { page } = await open(ADMIN)
  for (const address of ['/dags/nothing', '/runs/00000000-0000-7000-8000-000000000000']) {
    await page.goto(address)
    await page.getByRole('alert').getByText('There is no such thing').waitFor()
  }
  await page.goto('/no-such-page')
  await page.getByText('There is no such page').waitFor()
})

test('the keyboard does for the grid', limit, async () => {
  const { page, wrong } = await open(ADMIN)
  await until(async () => (await api(page, 'GET', '/runs?dag_id=daily&state=success')).body.items.length > 0)
  await page.goto('/dags')
  await page.keyboard.press('/')
  await page.keyboard.type('daily')
  await page.getByRole('link', { name: 'daily', exact: true }).press('Enter')
  await page.getByRole('grid').focus()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('ArrowUp')
  await page.locator('.is-cursor').waitFor()
  await page.keyboard.press('Enter')
  await page.waitForURL(/\/runs\/.*\/tasks\//)
  await page.keyboard.press('g')
  await page.keyboard.press('p')
  await page.getByRole('heading', { name: 'Pools' }).waitFor()
  assert.deepEqual(wrong, [])
})
