"""The source: the nycflights13 tables, as files in the folder FLIGHTS_DATA (by default, `data`)."""

import csv
import io
import os
import pathlib
import zipfile


def folder():
    return pathlib.Path(os.environ.get("FLIGHTS_DATA") or pathlib.Path(__file__).parent / "data")


def lines(name):
    """The lines of a table, from NAME.csv or NAME.csv.zip, the header first."""
    plain = folder() / f"{name}.csv"
    if plain.exists():
        with plain.open(newline="", encoding="utf-8") as file:
            yield from file
        return
    packed = folder() / f"{name}.csv.zip"
    if not packed.exists():
        raise SystemExit(f"there is no {name}.csv or {name}.csv.zip in {folder()}")
    with zipfile.ZipFile(packed) as archive, archive.open(f"{name}.csv") as file:
        yield from io.TextIOWrapper(file, encoding="utf-8", newline="")


def table(name, wanted):
    """The rows whose line is wanted; lines are looked at before they are taken apart."""
    source = lines(name)
    header = next(csv.reader([next(source)]))
    for row in csv.reader(line for line in source if wanted(line)):
        yield dict(zip(header, row))
