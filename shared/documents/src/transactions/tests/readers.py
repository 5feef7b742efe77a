"""Files of transactions as other libraries read them: Python's csv and json, openpyxl and pypdf. Takes the path of the
files without their extension, and prints one JSON object. It does not know what is expected."""

import csv
import datetime
import json
import sys

import openpyxl
import openpyxl.utils.escape
import pypdf


def cell(one):
    """A cell of a spreadsheet: its type, as openpyxl names it (f would be a formula), and its value."""
    value = one.value
    if isinstance(value, str):
        # openpyxl leaves this to its caller: Excel writes some characters as _x0009_, and _x0009_ as _x005F_x0009_.
        value = openpyxl.utils.escape.unescape(value)
    return [one.data_type, value.isoformat() if isinstance(value, datetime.datetime) else value]


path = sys.argv[1]
with open(path + ".csv", newline="", encoding="utf-8") as file:
    rows = list(csv.reader(file, strict=True))
with open(path + ".jsonl", encoding="utf-8") as file:
    lines = [json.loads(line) for line in file]
workbook = openpyxl.load_workbook(path + ".xlsx")
sheets = {sheet.title: [[cell(one) for one in row] for row in sheet.iter_rows()] for sheet in workbook}
pdf = pypdf.PdfReader(path + ".pdf", strict=True)
print(json.dumps({
    "csv": rows,
    "jsonl": lines,
    "xlsx": sheets,
    "pdf": {
        "title": pdf.metadata.title,
        "language": pdf.trailer["/Root"]["/Lang"],
        "pages": [page.extract_text() for page in pdf.pages],
    },
}))
