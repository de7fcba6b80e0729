import math
import struct
import subprocess
import sys
from enum import Enum
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rfc8785
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

import idealab
from idealab.errors import LedgerError
from idealab.ledger import BATCH, DECLARATION, canonical, decode, digest, records
from tests.ledger import conftest


def declaration(content):
    return {"schema": DECLARATION, "idea": "max_margin", "content": content}


def batch(**changes):
    observation = {"parameters": {"gamma": [0.5, 0.25]}, "observables": {"norm": [[1.0, 2.0], [3.0, 4.0]]}}
    return {
        "schema": BATCH,
        "parents": ["a" * 64],
        "idea": "max_margin",
        "experiment": "idealized",
        "condition": "kappa=0.3",
        "precision": "float64",
        "environment": {"jax": "0.10.2"},
        "master_seed": 0,
        "first_seed": 0,
        "seeds": 2,
        "seconds": 0.5,
        "observation": observation,
    } | changes


def verification(**changes):
    return conftest.verification(["a" * 64]) | changes


def bits(value):
    """The tree with every number as the 64 bits of its float, so that NaN equals NaN and -0.0 differs from 0.0."""
    if isinstance(value, list | tuple):
        return [bits(item) for item in value]
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return struct.pack("<d", math.nan if math.isnan(value) else value)
    return value


def there_and_back(value):
    return decode(canonical(declaration({"value": value})))["content"]["value"]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
leaves = st.none() | st.booleans() | st.integers(1 - 2**53, 2**53 - 1) | st.floats() | texts
keys = texts.filter(lambda text: text != "$float")
trees = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4))
repeatable = settings(derandomize=True, deadline=None, max_examples=200)


@repeatable
@given(trees)
def test_every_tree_of_values_comes_back_exactly(tree):
    assert bits(there_and_back(tree)) == bits(tree)


@repeatable
@given(trees)
def test_the_quick_way_writes_what_the_standard_says(tree):
    """Against the library that follows RFC 8785 to the letter."""
    plain = records._plain(declaration({"value": tree}), "document")
    assert canonical(declaration({"value": tree})) == rfc8785.dumps(plain)


@pytest.mark.parametrize("value", [1e16, 9007199254740992.0, 2.0**53 - 1, 123456.0, 1e-5, 1e-7, 1e21, 0.1, 5e-324])
def test_the_quick_way_writes_numbers_as_the_standard_says(value):
    assert canonical({"a": [value, -value]}) == rfc8785.dumps({"a": [value, -value]})


@repeatable
@given(trees)
def test_what_was_read_has_the_digest_of_what_was_written(tree):
    document = declaration({"value": tree})
    assert digest(decode(canonical(document))) == digest(document)


@repeatable
@given(
    arrays.arrays(
        st.sampled_from([np.float64, np.float32, np.float16, np.int32, np.uint8, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    )
)
def test_arrays_become_nested_lists_exactly(array):
    back = there_and_back(array)
    assert np.asarray(back, dtype=array.dtype).reshape(array.shape).tobytes() == _one_nan(array).tobytes()
    assert bits(back) == bits(array.tolist())


def _one_nan(array):
    # Only that a number is NaN is kept, not which of the many NaNs it is.
    return np.where(np.isnan(array), array.dtype.type(math.nan), array) if array.dtype.kind == "f" else array


@pytest.mark.parametrize("value", [-0.0, 1e308, 5e-324, 2.0**53, 1e20, 123456789012345678901.0, 1e21, math.pi, -1e-7])
def test_awkward_floats_come_back_exactly(value):
    assert bits(there_and_back(value)) == bits(value)
    assert bits(there_and_back(np.float64(value))) == bits(value)


def test_float32_is_widened_exactly():
    assert there_and_back(np.float32(0.1)) == float(np.float32(0.1)) != 0.1
    assert there_and_back(jnp.asarray([0.1, 0.2], jnp.float32)) == np.asarray([0.1, 0.2], np.float32).tolist()


def test_nonfinite_numbers_are_spelled_out():
    data = canonical(declaration({"x": [math.nan, math.inf, -math.inf, -0.0]}))
    spelled = b'[{"$float":"nan"},{"$float":"inf"},{"$float":"-inf"},{"$float":"-0"}]'
    assert data == b'{"content":{"x":' + spelled + b'},"idea":"max_margin","schema":"idealab/declaration/1"}'


def test_the_example_of_rfc_8785():
    # Section 3.2.2, with the numbers as text already parsed; expected bytes are the RFC's.
    document = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical(document) == expected.encode()


def test_the_digest_ignores_the_order_of_keys_and_the_kind_of_sequence():
    one = {"a": 1, "b": {"x": (1.5, 2.5), "y": np.asarray([1, 2])}, "é": None}
    other = {"é": None, "b": {"y": [1, 2], "x": np.asarray([1.5, 2.5])}, "a": np.int64(1)}
    assert digest(declaration(one)) == digest(declaration(other))
    assert digest(declaration(one)) != digest(declaration(one | {"a": 2}))


def test_the_digest_is_the_same_in_every_version():
    # If this fails, every ledger ever written has become unreadable: make a schema 2 instead.
    content = {"tolerance": 2e-4, "cap": 64, "shape": [0.1, math.inf], "text": "κ ≥ 0.3"}
    assert digest(declaration(content)) == GOLDEN


GOLDEN = "b374d9fc96eb071ef02662552dda21d1bc223facd7f389d7f6b4387772971baf"


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (2**53, r"document\.content\.value=9007199254740992 \(int\); expected integers up to 2\^53"),
        (np.asarray([1, 2**60]), r"value\[\]=1152921504606846976"),
        (1 + 2j, "complex"),
        (np.asarray([1j]), "expected JSON values or arrays"),
        pytest.param(
            *(np.longdouble(1), "longdouble"),
            marks=pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is float64 here"),
        ),
        (jnp.zeros(2, jnp.bfloat16), r"astype\('float32'\)"),
        (jax.random.key(0), "expected JSON values or arrays"),
        ({1, 2}, r"value=\{1, 2\} \(set\)"),
        (b"bytes", "bytes"),
        (Colour.RED, "Colour"),
        ({1: 2}, r"value=1 \(int\); expected keys that are text"),
        ({"$float": "nan"}, r"expected keys that are text and not '\$float'"),
        ("\ud800", "give Unicode text"),
        ({"\ud800": 1}, "give Unicode text"),
    ],
)
def test_what_cannot_be_kept_exactly_is_refused(value, complaint):
    with pytest.raises(LedgerError, match=complaint) as refusal:
        canonical(declaration({"value": value}))
    assert "\n" not in str(refusal.value)


def test_a_document_inside_itself_is_refused():
    content = {}
    content["again"] = content
    with pytest.raises(LedgerError, match="flat data"):
        canonical(declaration(content))


@pytest.mark.parametrize("document", [declaration({}), batch(), verification(), batch(seconds=2.0)])
def test_the_three_kinds_come_back(document):
    assert decode(canonical(document)) == document


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b'{"a":NaN}', "NaN is no finite"),
        (b'{"a":-Infinity}', "-Infinity is no finite"),
        (b'{"a":1e999}', "1e999 is no finite"),
        (b'{"a":' + b"9" * 5000 + b"}", "is no finite"),
        (b'{"a":1,"a":1}', "a key occurs twice"),
        (b'{"a":{"$float":"NaN"}}', "malformed number"),
        (b'{"a":{"$float":"nan","b":1}}', "malformed number"),
        (b'{"a":{"$float":[]}}', "malformed number"),
        (b'{"a":1', "cut short"),
        (b"", "cut short"),
        (b"\xff\xfe", "not written by idealab"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"[" * 200_000, "not a record"),
        (b"[]", "expected a JSON object, got list"),
        (b"{}", "schema=None"),
        (b'{"schema":[]}', r"schema=\[\]"),
        (b'{"schema":"idealab/batch/2"}', "another version of idealab: upgrade"),
        (b'{"schema":"something else"}', "not a record of idealab"),
    ],
)
def test_bytes_that_are_no_record_are_refused(data, complaint):
    with pytest.raises(LedgerError, match=complaint):
        decode(data)


def test_an_oversized_record_is_refused_before_it_is_parsed():
    with pytest.raises(LedgerError, match="may hold 64 MiB"):
        decode(b" " * (64 * 2**20 + 1))


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"schema": DECLARATION, "idea": "x"}, "missing or unknown: 'content'"),
        (declaration({}) | {"contents": {}}, "missing or unknown: 'contents'"),
        (declaration([]), r"content=\[\] \(list\); expected a value of type dict"),
        (batch(master_seed=0.5), "master_seed=0.5"),
        (batch(seeds=True), r"cannot hold seeds=True \(bool\)"),
        (batch(seconds="1"), "seconds='1'"),
        (batch(parents="a" * 64), "parents="),
        (batch(parents=["A" * 64]), "64 lowercase hexadecimal digits"),
        (batch(parents=[]), "one parent, the declaration"),
        (batch(seeds=0), "at least 0 and at least 1"),
        (batch(first_seed=-1), "at least 0 and at least 1"),
        (batch(seeds=3), "observation 'gamma'.*leading axis of seeds=3"),
        (batch(observation={"parameters": {}}), "the keys 'parameters' and 'observables'"),
        (batch(observation={"parameters": {}, "observables": []}), "each with named arrays"),
        (batch(observation={"parameters": {"a": [1]}, "observables": {"a": [1, 2]}}), "observation 'a'"),
        (batch(observation={"parameters": {}, "observables": {"a": 1.0}}), "observation 'a'=1"),
        *(
            (
                batch(observation={"parameters": {}, "observables": {"a": values}}),
                "observation 'a'.*numbers of one shape",
            )
            for values in (["x", "y"], [{}, {}], [None, 1], [[1], [1, 2]], [[1], 2], [[[1], [2]], [[1], [[2]]]])
        ),
        (verification(created="yesterday"), "created='yesterday'.*ISO 8601 in UTC"),
        (verification(created="2026-01-31T12:00:00"), "ISO 8601 in UTC"),
        (verification(created="2026-01-31T12:00:00+01:00"), "ISO 8601 in UTC"),
    ],
)
def test_an_incomplete_or_contradictory_record_is_refused(document, complaint):
    with pytest.raises(LedgerError, match=complaint):
        decode(canonical(document))


@repeatable
@given(st.binary(max_size=40) | texts.map(str.encode) | trees.map(lambda tree: canonical({"value": tree})))
def test_no_bytes_raise_anything_but_a_ledger_error(data):
    with pytest.raises(LedgerError, match="record"):
        decode(data)


def test_reading_records_imports_nothing_heavy():
    code = "import sys, idealab.ledger; print({'numpy', 'jax', 'sympy', 'msgspec', 'sqlite3'} & set(sys.modules))"
    root = Path(idealab.__file__).parents[1]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
