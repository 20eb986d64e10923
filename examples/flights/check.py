"""Fails the run if the date is not in the warehouse as it was in the source."""

from warehouse import date_argument, warehouse

args = date_argument("--rows")
wrong = []


def expect(what, found, wanted):
    print(f"{what}: {found}")
    if found != wanted:
        wrong.append(f"{what}: {found}, and it should be {wanted}")


with warehouse() as house:

    def count(what):
        return house.execute(what, (args.date,)).fetchone()[0] or 0

    expect("flights", count("SELECT COUNT(*) FROM flights WHERE date = ?"), int(args.rows))
    expect(
        "distinct flights",
        count("SELECT COUNT(*) FROM (SELECT DISTINCT seq FROM flights WHERE date = ?) AS keys"),
        int(args.rows),
    )
    expect(
        "flights in the summary",
        count("SELECT SUM(flights) FROM daily_summary WHERE date = ?"),
        int(args.rows),
    )
    expect(
        "flights without a key",
        count(
            "SELECT COUNT(*) FROM flights WHERE date = ? AND "
            "(carrier IS NULL OR flight IS NULL OR origin IS NULL OR time_hour IS NULL)"
        ),
        0,
    )
if wrong:
    raise SystemExit("\n".join(wrong))
