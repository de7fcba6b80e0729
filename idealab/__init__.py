"""State an idea about how learning works, derive what must then be observable, and see whether it happens.

    import idealab

    idealab.ideas()                           # what there is
    idealab.load("max_margin").signatures     # what an idea says must be seen
    idealab.declare("max_margin", seeds=64)   # write the declaration, and return its hash
    idealab.verify("max_margin", seeds=64)    # derive, declare, run, judge, record

A public name loads its module when it is first asked for: importing idealab imports neither JAX nor Sympy.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# A wheel holds the ideas inside the package. In a checkout theory/ and experiments/ stand beside it, so the checkout's
# root joins the places where idealab.theory and idealab.experiments are looked for, once it has shown that it is ours.
_project = Path(__file__).resolve().parents[1] / "pyproject.toml"
if _project.is_file() and '\nname = "idealab"\n' in _project.read_text(encoding="utf-8"):
    __path__.append(str(_project.parent))

if TYPE_CHECKING:
    from idealab.errors import (
        DeclarationChangedError as DeclarationChangedError,
        DeclarationError as DeclarationError,
        DerivationError as DerivationError,
        IdealabError as IdealabError,
        LedgerError as LedgerError,
        NothingMatchedError as NothingMatchedError,
        PrinterError as PrinterError,
        UnknownNameError as UnknownNameError,
        UsageError as UsageError,
    )
    from idealab.experiment import (
        Condition as Condition,
        Experiment as Experiment,
        Observation as Observation,
        Range as Range,
    )
    from idealab.explore.scope import find_scope as find_scope
    from idealab.idea import (
        Assumption as Assumption,
        Idea as Idea,
        Named as Named,
        Reference as Reference,
        Rival as Rival,
        Signature as Signature,
    )
    from idealab.judge.criteria import Equals as Equals, Identity as Identity
    from idealab.judge.shapes import Rate as Rate, Slope as Slope, Threshold as Threshold, Trend as Trend
    from idealab.prepare.declare import declare as declare
    from idealab.prepare.plan import plan as plan
    from idealab.registry import ideas as ideas, load as load
    from idealab.symbolic.derivation import Derivation as Derivation
    from idealab.symbolic.prediction import Prediction as Prediction
    from idealab.verification import Verification as Verification
    from idealab.verify import verify as verify
else:
    # The same names again for the running program; tests/test_public_surface.py holds the two lists together.
    _HOME = {
        "Assumption": "idealab.idea",
        "Condition": "idealab.experiment",
        "DeclarationChangedError": "idealab.errors",
        "DeclarationError": "idealab.errors",
        "Derivation": "idealab.symbolic.derivation",
        "DerivationError": "idealab.errors",
        "Equals": "idealab.judge.criteria",
        "Experiment": "idealab.experiment",
        "Idea": "idealab.idea",
        "IdealabError": "idealab.errors",
        "Identity": "idealab.judge.criteria",
        "LedgerError": "idealab.errors",
        "Named": "idealab.idea",
        "NothingMatchedError": "idealab.errors",
        "Observation": "idealab.experiment",
        "Prediction": "idealab.symbolic.prediction",
        "PrinterError": "idealab.errors",
        "Range": "idealab.experiment",
        "Rate": "idealab.judge.shapes",
        "Reference": "idealab.idea",
        "Rival": "idealab.idea",
        "Signature": "idealab.idea",
        "Slope": "idealab.judge.shapes",
        "Threshold": "idealab.judge.shapes",
        "Trend": "idealab.judge.shapes",
        "UnknownNameError": "idealab.errors",
        "UsageError": "idealab.errors",
        "Verification": "idealab.verification",
        "declare": "idealab.prepare.declare",
        "find_scope": "idealab.explore.scope",
        "ideas": "idealab.registry",
        "load": "idealab.registry",
        "plan": "idealab.prepare.plan",
        "verify": "idealab.verify",
    }
    __all__ = [*_HOME, "__version__"]

    def __getattr__(name):
        if name not in _HOME:
            raise AttributeError(f"module 'idealab' has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(_HOME[name]), name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})

    class _Package(ModuleType):
        """Keeps ``idealab.verify`` the function: Python would bind it to the submodule of that name once imported."""

        def __setattr__(self, name, value):
            if name in _HOME and isinstance(value, ModuleType):
                value = getattr(value, name)
            super().__setattr__(name, value)

    sys.modules[__name__].__class__ = _Package
