"""A page of charts over the dates loaded so far; into the warehouse, and into a file if one is named."""

import argparse
import html
import os
import pathlib

from warehouse import warehouse

CARRIERS = """SELECT carrier AS label, AVG(arr_delay * 1.0) AS value FROM flights
WHERE arr_delay IS NOT NULL GROUP BY carrier ORDER BY carrier"""
HOURS = """SELECT hour AS label, AVG(dep_delay * 1.0) AS value FROM flights
WHERE dep_delay IS NOT NULL GROUP BY hour ORDER BY hour"""
ON_TIME = """SELECT date AS label, 100.0 * SUM(on_time) / SUM(flights) AS value FROM daily_summary
GROUP BY date ORDER BY date"""
TOTALS = """SELECT COUNT(DISTINCT date) AS dates, SUM(flights) AS flights,
SUM(cancelled) AS cancelled, SUM(on_time) AS on_time FROM daily_summary"""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Flights out of New York</title><style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
figure {{ margin: 2rem 0 }} figcaption {{ font-weight: 600 }} svg {{ width: 100%; height: auto }}
rect {{ fill: #3b82c4 }} rect.below {{ fill: #4f9d69 }} text {{ font-size: 11px; fill: currentColor }}
line {{ stroke: currentColor; stroke-opacity: .4 }}
</style></head><body><h1>Flights out of New York</h1>
<p>{flights} flights on {dates} dates, {cancelled} cancelled, {share:.1f} % on time (less than 15 minutes late).</p>
{charts}</body></html>
"""

WIDTH, HEIGHT, BASE = 900, 220, 30


def bars(caption, unit, rows):
    """A bar for each row; those below zero hang."""
    values = [float(row["value"]) for row in rows]
    top, bottom = max([*values, 1.0]), min([*values, 0.0])
    scale = (HEIGHT - 2 * BASE) / (top - bottom)
    step = WIDTH / max(len(rows), 1)
    zero = BASE + top * scale
    parts = [f'<line x1="0" x2="{WIDTH}" y1="{zero:.1f}" y2="{zero:.1f}"/>']
    for index, (row, value) in enumerate(zip(rows, values)):
        label, middle = html.escape(str(row["label"])), (index + 0.5) * step
        y, height = zero - max(value, 0) * scale, abs(value) * scale
        kind = ' class="below"' if value < 0 else ""
        parts.append(
            f'<rect{kind} x="{middle - 0.35 * step:.1f}" y="{y:.1f}" width="{0.7 * step:.1f}" '
            f'height="{height:.1f}"><title>{label}: {value:.1f} {unit}</title></rect>'
        )
        if step > 24 or index % max(1, len(rows) // 20) == 0:
            parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{label}</text>')
            parts.append(f'<text x="{middle:.1f}" y="{y - 4:.1f}" text-anchor="middle">{value:.0f}</text>')
    drawn = "".join(parts)
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{drawn}</svg>'
    return f"<figure><figcaption>{caption}</figcaption>{svg}</figure>"


parser = argparse.ArgumentParser()
parser.add_argument("--out", default="", help="a file for the page")
args = parser.parse_args()
with warehouse() as house:
    charts = [
        bars("Mean delay at arrival by carrier, minutes", "min", house.rows(CARRIERS)),
        bars("Mean delay at departure by scheduled hour, minutes", "min", house.rows(HOURS)),
        bars("On time by date, percent of scheduled flights", "%", house.rows(ON_TIME)),
    ]
    (totals,) = house.rows(TOTALS)
    share = 100 * totals["on_time"] / totals["flights"]
    page = PAGE.format(**totals, share=share, charts="\n".join(charts))
    house.execute("DELETE FROM reports WHERE name = ?", ("dashboard",))
    house.execute("INSERT INTO reports (name, html) VALUES (?, ?)", ("dashboard", page))
    if args.out:
        # Still inside the transaction, so that of two runs the later one writes the later page.
        target = pathlib.Path(args.out)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(f".{os.getpid()}.part")
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(target)
print(f"{totals['flights']} flights on {totals['dates']} dates")
