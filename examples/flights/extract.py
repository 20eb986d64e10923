"""That date's flights, as the source has them."""

import datetime
import json

from source import folder, table
from warehouse import date_argument, pass_on, warehouse

args = date_argument()
date = datetime.date.fromisoformat(args.date)
start = f"{date.year},{date.month},{date.day},"
rows = [
    {"date": args.date, "seq": seq, "raw": json.dumps(row)}
    for seq, row in enumerate(table("flights", lambda line: line.startswith(start)))
]
if not rows:
    raise SystemExit(f"{folder()} has no flights of {args.date}")
with warehouse() as house:
    house.replace_date("stage_flights", args.date, rows)
pass_on(rows=len(rows))
