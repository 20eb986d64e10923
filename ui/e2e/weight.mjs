// How long a browser takes over what is large, for the benchmarks: a figure a line. TOWPATH_URL is an address without
// users, with the Dag `grid` of many tasks and a log of TOWPATH_LOG_MB in its latest run.
import { chromium } from 'playwright-core'

const URL = process.env.TOWPATH_URL
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
})

async function fresh() {
  const context = await browser.newContext({ baseURL: URL, viewport: { width: 1280, height: 860 } })
  const page = await context.newPage()
  page.setDefaultTimeout(60_000)
  return page
}

const middle = (all) => all.sort((a, b) => a - b)[Math.floor(all.length / 2)]

async function timed(work) {
  const began = performance.now()
  await work()
  return performance.now() - began
}

/** From an empty browser to the first cell and to a frame in which a cell has answered a key, by the page's own clock:
 * to press it from here takes longer than what is measured. */
async function grid() {
  const page = await fresh()
  await page.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (!window.firstCell && document.querySelector('.grid-cell')) {
        window.firstCell = performance.now()
        requestAnimationFrame(() => {
          const sheet = document.querySelector('.grid-sheet')
          sheet.focus()
          sheet.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true, cancelable: true }))
        })
      }
      if (!document.querySelector('.is-cursor')) return
      observer.disconnect()
      requestAnimationFrame(() => requestAnimationFrame(() => (window.answered = performance.now())))
    }).observe(document, { attributes: true, childList: true, subtree: true })
  })
  await page.goto('/dags/grid?tab=grid&runs=50')
  await page.waitForFunction(() => window.answered)
  const scrolled = await timed(async () => {
    await page.keyboard.press('End')
    await page.keyboard.press('Control+End')
    await page.locator('.grid-name', { hasText: 't09999' }).waitFor()
  })
  const [first, interactive] = await page.evaluate(() => [window.firstCell, window.answered])
  await page.context().close()
  return { first, interactive, scrolled }
}

const grids = []
for (let look = 0; look < 5; look += 1) grids.push(await grid())
console.log('ui_grid_10000_tasks_50_runs_first_cell_p50_ms', middle(grids.map((one) => one.first)))
console.log('ui_grid_10000_tasks_50_runs_interactive_p50_ms', middle(grids.map((one) => one.interactive)))
console.log('ui_grid_10000_tasks_50_runs_to_the_last_row_p50_ms', middle(grids.map((one) => one.scrolled)))

const page = await fresh()
const log = page.getByRole('region', { name: /^Log of attempt/ })
const opened = await timed(async () => {
  await page.goto(`/runs/${process.env.TOWPATH_RUN}/tasks/t00000`)
  await log.getByText('line 0 ', { exact: false }).first().waitFor()
})
console.log('ui_log_100_mb_first_lines_ms', opened)
const ended = await timed(async () => {
  await log.press('Control+End')
  await log.getByText('the last line').waitFor()
})
console.log('ui_log_100_mb_to_the_end_ms', ended)
await browser.close()
