"""Each flight with the weather of its airport in the hour of its schedule."""

from warehouse import WEATHER_COLUMNS, date_argument, pass_on, warehouse

NO_WEATHER = {name: None for name in WEATHER_COLUMNS}

args = date_argument()
with warehouse() as house:
    weather = {
        (row["origin"], row["time_hour"]): {name: row[name] for name in WEATHER_COLUMNS}
        for row in house.rows("SELECT * FROM stage_weather WHERE date = ?", (args.date,))
    }
    flights = house.rows("SELECT * FROM stage_refined WHERE date = ? ORDER BY seq", (args.date,))
    joined = []
    for flight in flights:
        met = weather.get((flight["origin"], flight["time_hour"]))
        joined.append({**flight, **(met or NO_WEATHER), "has_weather": int(met is not None)})
    house.replace_date("stage_joined", args.date, joined)
pass_on(with_weather=sum(row["has_weather"] for row in joined))
