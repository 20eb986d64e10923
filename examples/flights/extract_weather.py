"""The hourly weather that the date's flights can meet."""

import datetime

from source import table
from warehouse import WEATHER_COLUMNS, date_argument, pass_on, warehouse

args = date_argument()
day = datetime.timedelta(days=1)
date = datetime.date.fromisoformat(args.date)
# A local date of New York lies within these dates of UTC, whatever the clocks do.
dates = {(date + offset).isoformat() for offset in (-day, 0 * day, day)}


def wanted(line):
    return line.rstrip().rsplit(",", 1)[-1].strip('"')[:10] in dates


def number(text):
    return None if text in ("NA", "") else float(text)


# A station and hour may be in the source twice, at the end of summer time; the first is taken.
weather = {}
for row in table("weather", wanted):
    key = (row["origin"], row["time_hour"])
    weather.setdefault(key, {name: number(row[name]) for name in WEATHER_COLUMNS})
rows = [
    {"date": args.date, "origin": origin, "time_hour": hour, **values}
    for (origin, hour), values in weather.items()
]
with warehouse() as house:
    house.replace_date("stage_weather", args.date, rows)
pass_on(hours=len(rows))
