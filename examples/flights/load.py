"""Into the warehouse: the date's flights, and their summary by carrier."""

import collections

from warehouse import date_argument, pass_on, warehouse

ON_TIME_BELOW = 15  # minutes of delay at arrival


def mean(values):
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def summarise(date, carrier, flights):
    arrivals = [flight["arr_delay"] for flight in flights]
    return {
        "date": date,
        "carrier": carrier,
        "flights": len(flights),
        "cancelled": sum(flight["cancelled"] for flight in flights),
        "mean_dep_delay": mean(flight["dep_delay"] for flight in flights),
        "mean_arr_delay": mean(arrivals),
        "on_time": sum(delay is not None and delay < ON_TIME_BELOW for delay in arrivals),
        "with_weather": sum(flight["has_weather"] for flight in flights),
    }


args = date_argument()
with warehouse() as house:
    flights = house.rows("SELECT * FROM stage_joined WHERE date = ? ORDER BY seq", (args.date,))
    by_carrier = collections.defaultdict(list)
    for flight in flights:
        by_carrier[flight["carrier"]].append(flight)
    summary = [summarise(args.date, carrier, by_carrier[carrier]) for carrier in sorted(by_carrier)]
    house.replace_date("flights", args.date, flights)
    house.replace_date("daily_summary", args.date, summary)
pass_on(flights=len(flights), carriers=len(summary))
