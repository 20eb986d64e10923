"""The warehouse: SQLite on a laptop, PostgreSQL in the stack, by the same statements.

Every table is keyed by date, and every write replaces a date whole, in one transaction: running a date
twice leaves the same rows.
"""

import argparse
import contextlib
import json
import os
import sqlite3

# All rows of a date, in the order of the source file.
FLIGHT_COLUMNS = {
    "date": "TEXT NOT NULL",
    "seq": "INTEGER NOT NULL",
    "carrier": "TEXT NOT NULL",
    "flight": "INTEGER NOT NULL",
    "tailnum": "TEXT",
    "origin": "TEXT NOT NULL",
    "dest": "TEXT NOT NULL",
    "sched_dep_time": "INTEGER",
    "dep_time": "INTEGER",
    "dep_delay": "INTEGER",
    "sched_arr_time": "INTEGER",
    "arr_time": "INTEGER",
    "arr_delay": "INTEGER",
    "air_time": "INTEGER",
    "distance": "INTEGER",
    "hour": "INTEGER",
    "time_hour": "TEXT NOT NULL",
    "cancelled": "INTEGER NOT NULL",
}
WEATHER_COLUMNS = {
    "temp": "DOUBLE PRECISION",
    "wind_speed": "DOUBLE PRECISION",
    "precip": "DOUBLE PRECISION",
    "visib": "DOUBLE PRECISION",
}

TABLES = {
    # What each task leaves for the next one.
    "stage_flights": {"date": "TEXT NOT NULL", "seq": "INTEGER NOT NULL", "raw": "TEXT NOT NULL"},
    "stage_refined": FLIGHT_COLUMNS,
    "stage_weather": {
        "date": "TEXT NOT NULL",
        "origin": "TEXT NOT NULL",
        "time_hour": "TEXT NOT NULL",
        **WEATHER_COLUMNS,
    },
    "stage_joined": {**FLIGHT_COLUMNS, **WEATHER_COLUMNS, "has_weather": "INTEGER NOT NULL"},
    # What the pipeline is for.
    "flights": {**FLIGHT_COLUMNS, **WEATHER_COLUMNS, "has_weather": "INTEGER NOT NULL"},
    "daily_summary": {
        "date": "TEXT",
        "carrier": "TEXT",
        "flights": "INTEGER",
        "cancelled": "INTEGER",
        "mean_dep_delay": "REAL",
        "mean_arr_delay": "REAL",
        "on_time": "INTEGER",
        "with_weather": "INTEGER",
    },
    "reports": {"name": "TEXT NOT NULL", "html": "TEXT NOT NULL"},
}


class Warehouse:
    """One transaction: committed if its block ends well, undone otherwise."""

    def __init__(self, connection, postgres):
        self.connection = connection
        self.postgres = postgres

    def _text(self, statement):
        return statement.replace("?", "%s") if self.postgres else statement

    def execute(self, statement, values=()):
        cursor = self.connection.cursor()
        cursor.execute(self._text(statement), values)
        return cursor

    def rows(self, statement, values=()):
        """The rows as dictionaries."""
        cursor = self.execute(statement, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]

    def replace_date(self, table, date, rows):
        """Puts these rows in the place of all that the table has of the date."""
        names = list(TABLES[table])
        self.execute(f"DELETE FROM {table} WHERE date = ?", (date,))
        insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        values = [tuple(row[name] for name in names) for row in rows]
        if values:
            self.connection.cursor().executemany(self._text(insert), values)

    def make_tables(self):
        if self.postgres:
            # Two makers of one table trip over each other.
            self.execute("SELECT pg_advisory_xact_lock(20130101)")
        for table, columns in TABLES.items():
            described = []
            for name, kind in columns.items():
                # PostgreSQL's REAL has six digits; a mean needs more.
                kind = "DOUBLE PRECISION" if self.postgres and kind == "REAL" else kind
                described.append(f"{name} {kind}")
            self.execute(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(described)})")
            if "date" in columns:
                self.execute(f"CREATE INDEX IF NOT EXISTS {table}_date ON {table} (date)")


@contextlib.contextmanager
def warehouse():
    url = os.environ["WAREHOUSE_URL"]
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url[len("sqlite:///") :], timeout=60, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        postgres = False
    elif url.startswith(("postgres://", "postgresql://")):
        import psycopg

        connection = psycopg.connect(url)
        postgres = True
    else:
        raise SystemExit(f"WAREHOUSE_URL is {url!r}; write sqlite:///FILE or postgresql://…")
    try:
        house = Warehouse(connection, postgres)
        house.make_tables()
        yield house
        connection.commit() if postgres else connection.execute("COMMIT")
    finally:
        connection.close()


def date_argument(*more):
    """The arguments of a task: --date, and those that are named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--date", required=True, help="the local date of the flights, 2013-01-31")
    for name in more:
        parser.add_argument(name, required=True)
    return parser.parse_args()


def pass_on(**values):
    """Hands small values to the tasks below."""
    print(" ".join(f"{name}={value}" for name, value in values.items()))
    if path := os.environ.get("TOWPATH_OUTPUT"):
        with open(path, "a", encoding="utf-8") as output:
            output.write(json.dumps(values) + "\n")
