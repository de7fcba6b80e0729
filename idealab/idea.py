"""What a theory declares: an `Idea` with its `Signature`s and `Assumption`s. An inconsistent one cannot exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol, TypeVar, cast

import sympy as sp  # pyright: ignore[reportMissingTypeStubs]

from idealab.errors import DeclarationError, UnknownNameError
from idealab.judge.criteria import Criterion
from idealab.symbolic.derivation import Derivation, Kind, Reference
from idealab.symbolic.mutation import MUST_KILL, OPERATORS
from idealab.symbolic.prediction import Prediction

__all__ = ["Assumption", "Idea", "Named", "Reference", "Rival", "Signature"]


class _HasName(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_HasName)


class Named(Mapping[str, T]):
    """An ordered, immutable mapping of items by their own name: ``Named(a, b)["b"]``.

    Raises
    ------
    DeclarationError
        If two items share a name.
    UnknownNameError
        On a look-up of a name that is not there; it suggests the nearest.
    """

    def __init__(self, *items: T) -> None:
        self._items = {item.name: item for item in items}
        if len(self._items) < len(items):
            names = [item.name for item in items]
            twice = next(name for name in names if names.count(name) > 1)
            raise DeclarationError(f"two {type(items[0]).__name__.lower()}s are named {twice!r}; rename one")

    def __getitem__(self, name: str) -> T:
        if name not in self._items:
            kind = type(next(iter(self._items.values()))).__name__.lower() if self._items else "item"
            raise UnknownNameError(kind, name, self._items)
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Named({', '.join(self._items)})"


@dataclass(frozen=True)
class Rival:
    """Another formula for the same observable, which the experiment should be able to refute."""

    name: str
    statement: str
    prediction: Prediction


@dataclass(frozen=True)
class Signature:
    """One observable consequence of an idea: what is measured, which value is expected, and how near counts as equal.

    The prediction is never typed: it is the right-hand side of a step of a derivation, so that the equation in the
    paper, the compiled function, the mutants and the hash are one object.

    Parameters
    ----------
    name
        What the signature is called on the command line.
    statement
        In words, what is seen.
    observable
        The name under which an experiment reports the measured value.
    derivation
        Where the prediction comes from: the conclusion, or the step named ``step``.
    criterion
        When measured and predicted agree. A tolerance may hold the symbol ``machine_epsilon``, that of the run.
    reason
        Why the tolerance is what it is: the finite-size bias that it allows for.
    by_log
        Symbols that experiments report by their logarithm, such as a time past 1e308.
    exact
        True for an identity at finite size, False for an asymptotic statement.
    primary
        Whether the idea stands and falls with it.
    rivals
        Formulas that the same data must refute, or the verdict is not discriminating.
    must_kill
        Kinds of mutants of the prediction (`idealab.symbolic.mutation.OPERATORS`) that the same data must refute, as
        far as the tolerance resolves them; those of the whole formula in any case.

    Raises
    ------
    DeclarationError
        If the tolerance has no reason, the prediction is a step that is only given, or a primary signature rests on
        a citation alone.
    """

    name: str
    statement: str
    observable: str
    derivation: Derivation
    criterion: Criterion
    reason: str
    step: str | None = None
    by_log: tuple[sp.Symbol, ...] = ()
    exact: bool = False
    primary: bool = True
    rivals: Named[Rival] = field(default_factory=lambda: Named[Rival]())
    must_kill: tuple[str, ...] = MUST_KILL

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise DeclarationError(
                f"signature {self.name!r} gives no reason for its tolerance; say which bias it allows for"
            )
        for operator in self.must_kill:
            if operator not in OPERATORS:
                raise UnknownNameError("kind of mutant", operator, OPERATORS)
        if self.step is not None and self.derivation[self.step].kind == "given":
            raise DeclarationError(
                f"signature {self.name!r} predicts with the step {self.step!r}, which is only given; "
                "name a derived, checked or cited step"
            )
        if self.primary and self.known == "cited":
            raise DeclarationError(
                f"signature {self.name!r} is primary but rests only on a citation; "
                "derive or check it, or declare primary=False"
            )
        prediction = self.prediction  # compiled here, so that a formula without a JAX form is refused now
        if prediction.expression == 0 and self.criterion.formulas.get("atol") == 0:
            raise DeclarationError(f"signature {self.name!r} predicts zero, so its tolerance needs atol above zero")
        _ = self.tolerance

    @property
    def equation(self) -> sp.Equality:
        """The predicted equation, as it stands in the derivation."""
        return self.derivation[self.step].equation if self.step else self.derivation.conclusion

    @property
    def known(self) -> Kind:
        """How the prediction is known: derived, checked or cited, by its weakest link."""
        return self.derivation.how_known(self.step) if self.step else self.derivation.known

    @cached_property
    def prediction(self) -> Prediction:
        """The predicted value over knobs, times and the instance parameters of a seed."""
        return Prediction(cast("sp.Expr", self.equation.rhs), by_log=self.by_log)

    @cached_property
    def tolerance(self) -> tuple[Prediction, ...]:
        """The formulas of the criterion, in its order, compiled like the prediction."""
        return tuple(
            # Sympy's 0.0 evaluates to its integer 0, which the printer takes for no float.
            Prediction(sp.sympify(part) if part != 0 else sp.Integer(0), by_log=self.by_log)
            for part in self.criterion.formulas.values()
        )

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the settings, checkpoints and instance parameters that an experiment must report."""
        parts = (self.prediction, *self.tolerance, *(rival.prediction for rival in self.rivals.values()))
        return tuple(sorted({name for part in parts for name in part.arguments}))

    def _repr_html_(self) -> str:
        """Return what it claims, and when it agrees, for notebooks."""
        from idealab.report.notebook import signature_html

        return signature_html(self)

    def _repr_latex_(self) -> str:
        """Return what it claims, and when it agrees, as LaTeX."""
        from idealab.report.notebook import signature_latex

        return signature_latex(self)


@dataclass(frozen=True)
class Assumption:
    """Something the idea assumes, and what must happen when an experiment takes it away.

    Parameters
    ----------
    removal
        ``"breaks"``: each of ``signatures`` must fail without the assumption. ``"does_not_matter"``: each must hold.
    rival
        Where a theory of the broken case is derivable: a signature that must hold in its place.
    """

    name: str
    statement: str
    removal: Literal["breaks", "does_not_matter"]
    signatures: tuple[str, ...]
    rival: Signature | None = None

    def __post_init__(self) -> None:
        if self.removal not in ("breaks", "does_not_matter"):
            raise DeclarationError(
                f"assumption {self.name!r}: removal={self.removal!r} must be 'breaks' or 'does_not_matter'"
            )
        if not self.signatures:
            raise DeclarationError(f"assumption {self.name!r} names no signature on which its removal shows")
        if self.rival is not None and self.removal != "breaks":
            raise DeclarationError(f"assumption {self.name!r} does not matter, so it can have no rival signature")


@dataclass(frozen=True)
class Idea:
    """An idea about how learning works, and all that is claimed for it.

    Parameters
    ----------
    statement
        The mechanism in one or two sentences (the first paragraph of the theory file's docstring).
    scope
        Where it is claimed to hold.
    failure_modes
        Where it is known not to hold.

    Raises
    ------
    DeclarationError
        If an assumption names a signature that is not declared, there is no primary signature, or two derivations
        share a name.
    """

    name: str
    statement: str
    scope: str
    failure_modes: tuple[str, ...]
    references: tuple[Reference, ...]
    signatures: Named[Signature]
    assumptions: Named[Assumption]

    def __post_init__(self) -> None:
        if not any(signature.primary for signature in self.signatures.values()):
            raise DeclarationError(f"idea {self.name!r} has no primary signature, so nothing could refute it")
        for assumption in self.assumptions.values():
            for name in assumption.signatures:
                if name not in self.signatures:
                    raise DeclarationError(
                        f"assumption {assumption.name!r} names the signature {name!r}, which is not declared; "
                        f"declared: {', '.join(self.signatures)}"
                    )
        _ = self.derivations

    @cached_property
    def derivations(self) -> Named[Derivation]:
        """Every derivation that a signature, or the rival of an assumption, rests on."""
        rivals = (a.rival for a in self.assumptions.values() if a.rival is not None)
        found = {id(s.derivation): s.derivation for s in (*self.signatures.values(), *rivals)}
        return Named(*found.values())

    def _repr_html_(self) -> str:
        """Return the signature card for notebooks."""
        from idealab.report.notebook import idea_html

        return idea_html(self)

    def _repr_latex_(self) -> str:
        """Return the signature card as LaTeX."""
        from idealab.report.notebook import idea_latex

        return idea_latex(self)
