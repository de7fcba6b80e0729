"""What training makes of the priorities between tokens (D1 to D4)."""

from collections.abc import Mapping

import sympy as sp
from sympy import Eq, exp, log

from idealab.idea import Assumption, Reference, Signature
from idealab.judge.criteria import Equals
from idealab.symbolic.derivation import Derivation

Known = Mapping[str, sp.Equality]

c, rho, t, r = sp.symbols("c rho t r", positive=True)
D, ell = sp.symbols("D ell", real=True)


def _time(known: Known) -> sp.Equality:
    """Separate the variables of dD/dt = -c d ell/dD, from D = 0."""
    spent = sp.integrate(sp.simplify(-1 / known["loss"].rhs.diff(D)), D)
    return Eq(c * t, spent - spent.subs(D, 0))


single = (
    Derivation("single_edge", "one prompt, in which the label meets one other token")
    .given("loss", "D: score of the label less the other's; rho: ratio of counts", Eq(ell, log(1 + exp(-D) / rho)))
    .derive("time", "the flow dD/dt = -c d ell/dD, c the learning rate times |phi|^2", _time)
    .derive("odds_growth", "the odds r = e^D", lambda known: Eq(r, sp.solve(known["time"].subs(D, log(r)), r)[0]))
)

signatures = (
    Signature(
        "odds_growth",
        "the odds of a label over its one competitor grow like t",
        "odds",
        single,
        Equals(rtol=c * (1 + log(1 + c * t)) / (1 + c * t) + 1e-8),
        "discrete steps are ahead of the flow by c ln(ct)/2 in c t; 1e-8 for the integrator",
        by_log=(t,),
    ),
)
assumptions: tuple[Assumption, ...] = ()
references = (
    Reference(
        "jia2025",
        "Jia and Diaz-Rodriguez",
        2025,
        "Dynamics of spontaneous topic changes in next token prediction with self-attention",
    ),
)
