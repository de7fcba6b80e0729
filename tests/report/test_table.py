from __future__ import annotations

from rich.text import Text

from idealab.report.table import Column, fit, paragraph, rows


def column(header: str, *cells: str, right: bool = False) -> Column:
    return Column(header, tuple(map(Text, cells)), right)


def plain(columns: list[Column]) -> list[str]:
    return [line.plain for line in rows(columns)]


def test_columns_line_up_by_what_they_show_not_by_characters() -> None:
    # γ̂ is two characters in one place, 界 is one character in two places
    assert plain([column("a", "γ̂", "界"), column("n", "1", "10", right=True)]) == ["a    n", "γ̂    1", "界  10"]


def test_spare_columns_go_first_to_last_until_the_rest_fits() -> None:
    columns = [column("name", "x" * 10), column("off", "12345"), column("seeds", "64")]
    headers = {width: [c.header for c in fit(columns, width, ("seeds", "off"))] for width in (24, 23, 16)}
    assert headers == {24: ["name", "off", "seeds"], 23: ["name", "off"], 16: ["name"]}


def test_an_empty_column_is_not_drawn() -> None:
    assert plain(fit([column("a", "1"), column("b", "")], 80)) == ["a", "1"]


def test_the_widest_column_is_shortened_when_nothing_is_spare() -> None:
    lines = plain(fit([column("name", "a very long name of a signature"), column("off", "1.5")], 20))
    assert lines == ["name             off", "a very long na…  1.5"]


def test_no_line_of_a_paragraph_is_too_wide_or_begins_with_a_dot() -> None:
    text = "declared before the first run · 8 signatures, 5 conditions · seeds 4 to 64 · float64"
    for width in range(20, 90):
        lines = [line.plain for line in paragraph(text, width, first="- ")]
        assert all(len(line) <= width for line in lines)
        assert not any(line.strip().startswith("·") for line in lines)
        assert " ".join(" ".join(lines).split()) == f"- {text}"
