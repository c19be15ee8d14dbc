"""Tables: every way in which people save them, and every damage with its sentence."""

import re

import pytest

from medlab.data import VolumeError
from medlab.data.readers.table import Table, is_unknown


@pytest.mark.parametrize(
    "content",
    [
        b"name,AGE\nA,1.5\nB,\n",
        b"name\tAGE\nA\t1.5\nB\t\n",
        b"name;AGE\r\nA;1,5\r\nB;\r\n",  # a German spreadsheet
        b"\xef\xbb\xbfname,AGE\nA,1.5\nB\n\n,,\n",  # a byte order mark, a short row, blank rows
        b' name , "AGE" \n"A", 1.5 \nB,NaN',
        "name,AGE\nA,1.5\nB,-\n# \u00e9,\n".encode("latin-1"),
    ],
)
def test_ways_to_save_a_table(tmp_path, content):
    path = tmp_path / "people.csv"
    path.write_bytes(content)
    table = Table(path, "name")
    age = table.column(re.compile('(?i)"?age"?'))
    rows = table.by(lambda row: row["name"].strip('"'))
    assert table.number(rows["A"][0], age, "A", 0, 100, "years") == 1.5
    assert table.number(rows["B"][0], age, "B", 0, 100, "years") is None
    with pytest.raises(VolumeError, match=r"subject B: .*people\.csv says nothing of its .*AGE"):
        table.needed_number(rows["B"][0], age, "B", 0, 100, "years")


DAMAGES = {
    "empty": (b"", "the table is empty"),
    "only separators": (b",,,\n\n", "the table is empty"),
    "no rows": (b"name,AGE\n", "the table has no rows"),
    "a missing column": (b"name,SEX\nA,1\n", r"there is no column AGE \(the columns are name, SEX\), expected one"),
    "a row that is too long": (b"name,AGE\nA,1,2\n", "row 2 has 3 cells, expected 2 as in the first row"),
    "not text": (b"name,AGE\nA,\0\n", "it is not text"),
    "a workbook": (b"PK\x03\x04" + bytes(100), "it is an Excel workbook"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_refuses_tables(tmp_path, one_sentence, case):
    content, message = DAMAGES[case]
    path = tmp_path / "people.csv"
    path.write_bytes(content)
    with pytest.raises(VolumeError, match=message) as caught:
        Table(path, "name", "AGE")
    one_sentence(caught.value, path)


def test_refuses_what_is_no_file(tmp_path, one_sentence):
    with pytest.raises(FileNotFoundError, match=r"gone\.csv: the table is missing"):
        Table(tmp_path / "gone.csv")
    with pytest.raises(VolumeError, match="it cannot be read") as caught:
        Table(tmp_path)
    one_sentence(caught.value, tmp_path)


@pytest.mark.parametrize("text", ["-3", "200", "old", "inf", "1e400", "--"])
def test_refuses_numbers(tmp_path, one_sentence, text):
    path = tmp_path / "people.csv"
    path.write_text(f"name,AGE\nA,{text}\n")
    table = Table(path)
    with pytest.raises(
        VolumeError, match=f"subject A: .* has '{text}' as its AGE, expected .* 0 to 100 years"
    ) as caught:
        table.number(table.rows[0], "AGE", "A", 0, 100, "years")
    one_sentence(caught.value, path)


def test_rows_of_one_subject(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("name,SEX\nA,M\nA,M\nB,M\nB,F\nC,x\n")
    table = Table(path)
    rows = table.by(lambda row: row["name"])
    assert table.choice(table.one(rows["A"], "A"), "SEX", "A", {"m": "male"}) == "male"
    with pytest.raises(VolumeError, match=r"subject B: .* has 2 rows of it that differ, expected one"):
        table.one(rows["B"], "B")
    with pytest.raises(VolumeError, match=r"subject D: .* has no row of it, expected one"):
        table.one([], "D")
    with pytest.raises(VolumeError, match=r"subject C: .* has 'x' as its SEX, expected one of m, f"):
        table.choice(rows["C"][0], "SEX", "C", {"m": "male", "f": "female"})
    assert is_unknown(" N/A ") and not is_unknown("0")
