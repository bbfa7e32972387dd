from hypothesis import given
from hypothesis import strategies as st

from kmemscope.present.style import Style
from kmemscope.present.table import Column, table

CELLS = st.text(st.characters(codec="ascii", exclude_characters=" ", categories=["L", "N", "P"]), max_size=8)


def test_columns_are_as_wide_as_they_need_to_be_and_numbers_stand_right() -> None:
    rows = [("orders", "1.0 MiB", ""), ("a", "12.5 MiB", "words")]

    assert table([Column("NAME"), Column("BYTES", right=True), Column("")], rows, indent="> ") == [
        "> NAME       BYTES",
        "> orders   1.0 MiB",
        "> a       12.5 MiB  words",
    ]


def test_a_table_without_titles_has_no_title_line_and_may_be_empty() -> None:
    assert table([Column(""), Column("")], [("a", "b")]) == ["a  b"]
    assert table([Column("")], []) == []
    assert table([Column("NAME")], []) == ["NAME"]


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[CELLS] * n), min_size=1, max_size=6)), st.data())
def test_every_cell_begins_or_ends_where_its_column_does(rows: list[tuple[str, ...]], data: st.DataObject) -> None:
    sides = data.draw(st.lists(st.booleans(), min_size=len(rows[0]), max_size=len(rows[0])))
    widths = [max(len(row[i]) for row in rows) for i in range(len(sides))]

    lines = table([Column("", right=side) for side in sides], rows)

    for line, row in zip(lines, rows, strict=True):
        at = 0
        for cell, width, right in zip(row, widths, sides, strict=True):
            begin = at + width - len(cell) if right else at
            assert line[begin : begin + len(cell)] == cell
            at += width + 2
        assert line == line.rstrip()


def test_colours_are_there_only_when_wanted() -> None:
    plain, coloured = Style(), Style(colour=True)

    assert [plain.bold("x"), plain.dim("x"), plain.warn("x")] == ["x"] * 3
    assert [coloured.bold("x"), coloured.dim("x"), coloured.warn("x")] == [
        "\x1b[1mx\x1b[0m",
        "\x1b[2mx\x1b[0m",
        "\x1b[33mx\x1b[0m",
    ]
