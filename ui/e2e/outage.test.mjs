// What the UI says while services are away, and that it goes on by itself when they are back. Whoever runs this takes
// them away and brings them back: TOWPATH_SIGNALS is a folder, a file in it a signal.
import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ADMIN, browser, open, shoot, until } from './browser.mjs'

after(() => browser.close())

const signals = process.env.TOWPATH_SIGNALS
const say = (name) => writeFileSync(join(signals, name), '')
const hear = (name) => until(() => existsSync(join(signals, name)))

test('the UI says what is away and goes on when it is back', { timeout: 180_000 }, async () => {
  const { page } = await open(ADMIN)
  const menu = page.getByRole('navigation', { name: 'Views' })
  const see = (name) => menu.getByRole('link', { name, exact: true }).click()
  await see('DAGs')
  await page.getByRole('link', { name: 'daily', exact: true }).waitFor()
  await page.evaluate(() => (window.notReloaded = true))
  say('all-is-well')

  await hear('database-is-away')
  await see('Runs')
  const alert = page.getByRole('alert')
  await alert.getByText('A service is away').waitFor()
  await alert.getByText(/database/i).first().waitFor()
  await shoot(page, 'outage-database')
  say('seen-without-database')
  await hear('database-is-back')
  await page.getByText('No run fits').waitFor()
  assert.equal(await alert.count(), 0)
  say('seen-with-database')

  await hear('server-is-away')
  await see('Assets')
  await alert.getByText('The server does not answer').first().waitFor()
  await menu.getByText('Connecting …').waitFor()
  await shoot(page, 'outage-server')
  say('seen-without-server')
  await hear('server-is-back')
  await page.getByText('No events yet').waitFor()
  await menu.getByText('Live', { exact: true }).waitFor()
  assert.equal(await alert.count(), 0)
  assert.equal(await page.evaluate(() => window.notReloaded), true, 'it went on by itself')
})
