import math

import pytest

from idealab.ledger.difference import differences


def said(before, after):
    return [str(line) for line in differences(before, after)]


@pytest.mark.parametrize(
    "value", [None, 1, 1.5, "a", [], {}, math.nan, [{"name": "a", "x": [1, 2]}], {"a": {"b": (1, math.inf)}}]
)
def test_equal_documents_do_not_differ(value):
    assert said(value, value) == []


def test_what_comes_back_from_a_ledger_is_the_same():
    assert said({"a": (1.0, 2)}, {"a": [1, 2.0]}) == []


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"a": 1}, {"a": 2}, ["a: 1 became 2"]),
        ({"a": {"b": "x"}}, {"a": {"b": "y"}}, ['a.b: "x" became "y"']),
        ({"a": 1, "b": 2}, {"a": 1}, ["b: 2 is gone"]),
        ({}, {"b": None}, ["b: null is new"]),
        ({"a": True}, {"a": 1}, ["a: true became 1"]),
        ({"a": [1, 2, 3]}, {"a": [1, 5, 3]}, ["a[1]: 2 became 5"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a: [1, 2] became [1]"]),
        ({"a": [1]}, {"a": {}}, ["a: [1] became {}"]),
        (
            {"s": [{"name": "p", "x": 1}, {"name": "q"}]},
            {"s": [{"name": "q"}, {"name": "p", "x": 2}]},
            ["s.p.x: 1 became 2", 's, order: ["p", "q"] became ["q", "p"]'],
        ),
        ({"s": [{"label": "p"}]}, {"s": [{"label": "p"}, {"label": "q"}]}, ["s.q is new"]),
        (
            {"s": [{"name": "p"}] * 2},
            {"s": [{"name": "p"}]},
            ['s: [{"name": "p"}, {"name": "p"}] became [{"name": "p"}]'],
        ),
    ],
)
def test_differences_are_named(before, after, lines):
    assert said(before, after) == lines


def test_long_values_are_shortened():
    (line,) = said({"a": "x" * 1000}, {"a": "y" * 1000})
    assert len(line) < 150
