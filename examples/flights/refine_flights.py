"""Clean and typed flights; those that were cancelled are marked as such and kept."""

import json

from warehouse import FLIGHT_COLUMNS, date_argument, pass_on, warehouse

NUMBERS = [name for name, kind in FLIGHT_COLUMNS.items() if kind.startswith("INTEGER")]


def clean(text):
    return None if text in ("NA", "") else text


def refine(stage):
    raw = {name: clean(text) for name, text in json.loads(stage["raw"]).items()}
    row = {name: raw.get(name) for name in FLIGHT_COLUMNS}
    row.update(date=stage["date"], seq=stage["seq"])
    for name in NUMBERS:
        # The source writes some whole numbers as 12.0.
        row[name] = None if row[name] is None else int(float(row[name]))
    row["cancelled"] = int(row["dep_time"] is None)
    return row


args = date_argument()
with warehouse() as house:
    staged = house.rows("SELECT * FROM stage_flights WHERE date = ? ORDER BY seq", (args.date,))
    refined = [refine(stage) for stage in staged]
    house.replace_date("stage_refined", args.date, refined)
pass_on(flown=sum(not row["cancelled"] for row in refined), cancelled=sum(row["cancelled"] for row in refined))
