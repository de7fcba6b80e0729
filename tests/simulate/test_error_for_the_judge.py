"""How the error of a flow reaches the judge: the experiment reports it, the tolerance makes room for it or not."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import sympy as sp

from idealab import Condition, Derivation, Equals, Experiment, Idea, Observation, Signature, verify
from idealab.idea import Named
from idealab.simulate import follow

LOG_TIMES = (30.0, 20.0, 10.0)
ALLOWED = 1e-6

t, b, flow_error = sp.symbols("t b flow_error", positive=True)
w = sp.Function("w")


def signature(name: str, tolerance: sp.Expr) -> Signature:
    law = (
        Derivation(name, "a weight that slows down")
        .given("flow", "its flow", sp.Eq(w(t).diff(t), sp.exp(-w(t))))
        .check(
            "path",
            "from w = b",
            sp.Eq(w(t), sp.log(t + sp.exp(b))),
            lambda equation, known: equation.rhs.diff(t) - sp.exp(-equation.rhs),
        )
    )
    reason = "1e-6 is what would matter; flow_error is the solver's"
    return Signature(name, "", "weight", law, Equals(atol=tolerance), reason, by_log=(t,))


IDEA = Idea(
    name="slowing",
    statement="A weight slows down.",
    scope="",
    failure_modes=(),
    references=(),
    signatures=Named(
        signature("within", sp.Float(ALLOWED) + flow_error),
        signature("surely_within", sp.Max(sp.Float(ALLOWED) - flow_error, 0)),
    ),
    assumptions=Named(),
)


def observe(key: jax.Array, condition: Condition) -> Observation:
    start, local = 1 + jax.random.uniform(key), condition["local_error"]
    flow = follow(
        lambda s, w: jnp.exp(s - w),
        jnp.array([start]),
        jnp.array(LOG_TIMES[::-1]),
        discrete=False,
        rtol=local,
        atol=local,
        max_steps=condition["max_steps"],
        estimate_error=True,
    )
    off = condition["off"] * jnp.array([1.0, -1.0, 1.0])
    return Observation({"b": start, "flow_error": jnp.max(flow.error)}, {"weight": flow.weights[::-1, 0] + off})


def signatures(**settings):
    condition = Condition({"local_error": 1e-9, "max_steps": 1000, "off": 0.0, **settings})
    experiment = Experiment(
        name="flow",
        statement="",
        level="idealized",
        observe=observe,
        observables=("weight",),
        conditions=(condition,),
        checkpoints={"weight": ("log_t", LOG_TIMES)},
    )
    found = verify(IDEA, experiments=[experiment], select=["within", "surely_within"], record=False)
    return {part.name: part for part in found.signatures}


def test_a_small_error_changes_no_verdict():
    assert {part.verdict for part in signatures().values()} == {"present"}
    assert {part.verdict for part in signatures(off=3 * ALLOWED).values()} == {"absent"}


def test_a_large_error_widens_the_tolerance_or_is_refused():
    found = signatures(local_error=1e-3)
    wide, refused = found["within"], found["surely_within"]
    # The path is off by 1e-5: ten times what is allowed, and covered by what the flow says of itself.
    assert wide.verdict == "present"
    assert all(100 * ALLOWED < cell.tolerance < 1e-2 for cell in wide.cells)
    # A poor solver says nothing of the theory, for it or against it.
    assert refused.verdict == "inconclusive"
    assert all("its tolerance is none above zero" in cell.note for cell in refused.cells)


def test_a_flow_that_gave_up_is_never_present():
    for part in signatures(max_steps=20).values():
        assert part.verdict != "present"
        assert all("did not give a finite number" in cell.note for cell in part.cells)
