"""Puts claims to the test whenever pytest runs: those of a ``claims.toml`` (`idealab.claims`), and of marked tests.

    @pytest.mark.idealab("max_margin", select=["loss_clock"], declared="46b21a71...", verdict="supported")
    def test_clock(verification):
        assert verification.evidence_log10 > 1

Each claim is verified once; each of its signatures in each experiment is an item, and so is the verdict; then comes the
test that is marked, which need not ask for the `verification`. A mark has the fields of a claim. These items have all
marks of the test: what selects it, skips it or expects it to fail does so to them; where several tests share a mark (a
class, or parameters), they come before the first that runs. Whoever has idealab installed has this plugin: it imports
nothing heavy before it meets a claim. ``-p no:idealab`` turns it off.
"""

from __future__ import annotations

# pytest annotates its nodes only in part.
# pyright: reportUnknownMemberType=false
import difflib
import tomllib
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from idealab.claims import Claim
    from idealab.verification import SignatureResult, Verification


SCHEMA = "idealab/claims/1"  # that of `idealab.claims`, which takes half a second to import
_LEFT = pytest.StashKey[list[Path]]()
_CLAIMED = pytest.StashKey["Marked"]()
_ASKED = pytest.StashKey[dict[str, "_Asked"]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the one option."""
    parser.getgroup("idealab").addoption(
        "--idealab-ledger",
        metavar="DIR",
        help="keep the evidence for the claims of claims.toml in this ledger, and go on from what it holds "
        "(without it each run simulates anew and leaves no trace)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the one mark."""
    words = "a claim, with the fields of a claims.toml: verified once, an item for each signature and for the verdict"
    config.addinivalue_line("markers", f"idealab(idea, **fields): {words}")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ClaimsFile | None:
    """Take a ``claims.toml`` that is idealab's by what it says, or that was asked for; other programs have theirs."""
    if file_path.name != "claims.toml":
        return None
    asked = parent.session.isinitpath(file_path) or parent.config.getoption("--idealab-ledger")
    if asked or _is_ours(file_path):
        return ClaimsFile.from_parent(parent, path=file_path)
    if not _says_whose(file_path):
        parent.config.stash.setdefault(_LEFT, []).append(file_path)
    return None


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Put what a marked test claims before the test itself, whoever collects it."""
    report = yield
    found: list[pytest.Item | pytest.Collector] = []
    for test in report.result or ():
        ours = isinstance(test, _Item) or test.parent is not collector  # a session hands on what others collected
        if isinstance(test, pytest.Item) and not ours and test.get_closest_marker("idealab"):
            claimed = test.stash[_CLAIMED] = Marked.from_parent(collector, name=test.name)
            claimed.own_markers += test.own_markers
            claimed.keywords.update((mark.name, mark) for mark in test.own_markers)
            found.append(claimed)
        found.append(test)
    report.result = found
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several of the tests that will run share a mark, and are skipped alike, leave its claim to the first."""
    first: dict[object, pytest.Item] = {}

    def repeated(item: pytest.Item) -> bool:
        marks = [id(mark) for mark in item.iter_markers() if mark.name in ("idealab", "skip", "skipif", "xfail")]
        return isinstance(item.parent, Marked) and first.setdefault((*marks, item.name), item) is not item

    again = [item for item in items if repeated(item)]
    if again:
        items[:] = [item for item in items if item not in again]
        config.hook.pytest_deselected(items=again)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that was marked when it had been collected: nothing has verified what it claims."""
    if item.get_closest_marker("idealab") and _CLAIMED not in item.stash and not isinstance(item, _Item):
        pytest.fail(
            f"{item.name} was marked with idealab after it was collected: its claim is unchecked", pytrace=False
        )


@pytest.fixture
def verification(request: pytest.FixtureRequest) -> Verification:
    """The verification of the claim with which a test is marked."""
    claimed = request.node.stash.get(_CLAIMED, None)
    if claimed is None:
        pytest.fail('verification is that of a mark; add @pytest.mark.idealab("an idea") to the test', pytrace=False)
    return claimed.verification()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say which files were left alone that do not say whose they are: claims must not go unchecked in silence."""
    for file in config.stash.get(_LEFT, list[Path]()):
        place = file.relative_to(config.rootpath) if file.is_relative_to(config.rootpath) else file
        terminalreporter.write_line(f'{place} says no schema = "{SCHEMA}", and so idealab left it alone')


def _is_ours(file: Path) -> bool:
    """Whether anything in a file speaks of idealab, or looks like a slip for it, or is a claim but for the head."""
    text, content = _read(file)
    schema = content.get("schema")
    whose = schema.casefold().partition("/")[0] if isinstance(schema, str) else ""
    slip = whose == "claims" or difflib.get_close_matches(whose, ["idealab"])
    claim = schema is None and any(isinstance(table, dict) and "idea" in table for table in content.values())
    return "idealab" in text.casefold() or bool(slip) or claim


def _says_whose(file: Path) -> bool:
    schema = _read(file)[1].get("schema")
    return isinstance(schema, str) and bool(schema.strip())


def _read(file: Path) -> tuple[str, dict[str, Any]]:
    """The text of a file and what it says; nothing, of one that says nothing in TOML."""
    try:
        text = file.read_text("utf-8", errors="replace")
    except OSError:
        return "", {}
    try:
        return text, tomllib.loads(text)
    except ValueError:
        return text, {}


class ClaimsFile(pytest.File):
    """A ``claims.toml``."""

    def collect(self) -> Iterator[Claimed]:
        """Collect its claims."""
        from idealab.claims import read
        from idealab.errors import IdealabError

        try:
            claims = read(self.path)
        except IdealabError as error:
            raise self.CollectError(str(error)) from None
        for claim in claims:
            yield Claimed.from_parent(self, name=claim.name, claim=claim)


@dataclass
class _Asked:
    """What is found out once for all claims that ask the same."""

    places: list[tuple[str, str]] | None = None  # each signature with the experiment where it will be judged
    found: Verification | str | None = None  # the verification, or why there is none


class Claimed(pytest.Collector):
    """A claim, which is verified when its first item runs."""

    def __init__(self, *, claim: Claim | None = None, **fields: Any) -> None:
        super().__init__(**fields)
        self._claim: Claim | None = claim

    @property
    def claim(self) -> Claim:
        """What is claimed."""
        assert self._claim is not None
        return self._claim

    @property
    def asked(self) -> _Asked:
        """What is known about it, and about all claims of this run that ask the same."""
        question = (self.claim.idea, self.claim.declared, sorted(self.claim.request.items()))
        return self.session.stash.setdefault(_ASKED, {}).setdefault(repr(question), _Asked())

    def collect(self) -> Iterator[pytest.Item]:
        """Ask, without running anything, which signatures will be judged where: an item each, then the verdict."""
        from idealab.compute.run import Silence
        from idealab.errors import IdealabError, UnknownNameError
        from idealab.prepare.request import Request, inquire

        try:
            asked = self.asked
            if asked.places is None:
                inquiry = inquire(Request(self.claim.idea, record=False, **self.claim.request), Silence())
                asked.places = [
                    (q.signature.name, q.experiment.name) for q in inquiry.questions if q.assumption is None
                ]
            places = asked.places
            known = {name for signature, place in places for name in (signature, f"{signature}[{place}]")}
            for name in self.claim.expect:
                if name not in known:
                    raise UnknownNameError("signature to expect", name, sorted(known))
        except IdealabError as error:
            raise self.CollectError(f"{self.parent.name}: [{self.name}] {error}") from None  # pyright: ignore[reportOptionalMemberAccess]
        if self.claim.declared is not None:
            yield Declared.from_parent(self, name="declaration")
        for signature, place in places:
            yield Seen.from_parent(self, name=f"{signature}[{place}]", signature=signature, experiment=place)
        yield Verdict.from_parent(self, name="verdict")

    def verification(self) -> Verification:
        """Verify the claim, the first time; whoever asks after a failure is told that there was one."""
        asked = self.asked
        if isinstance(asked.found, str):
            pytest.fail(f"[{self.name}] not judged: {asked.found}", pytrace=False)
        if asked.found is None:
            asked.found = "the run ended before its verdict"
            asked.found = self._verify()
        return asked.found

    def _verify(self) -> Verification:
        from idealab.cli.progress import watching
        from idealab.errors import IdealabError
        from idealab.verify import verify

        ledger = self.config.getoption("--idealab-ledger")
        capture: Any = self.config.pluginmanager.getplugin("capturemanager")
        shown: AbstractContextManager[None] = capture.global_and_fixture_disabled() if capture else nullcontext()
        try:
            with shown, watching(self.name) as progress:
                return verify(
                    self.claim.idea,
                    declared=self.claim.declared,
                    ledger=ledger,
                    record=bool(ledger),
                    progress=progress,
                    **self.claim.request,
                )
        except IdealabError as error:
            self.asked.found, words = f"see the first item of [{self.name}]", " ".join(str(error).split())
        pytest.fail(f"[{self.name}] {words}", pytrace=False)


class Marked(Claimed):
    """The claim of a marked test, which is read when it is collected: a fault in it hides no other test."""

    @property
    def claim(self) -> Claim:
        """What is claimed."""
        if self._claim is None:
            from idealab.claims import claim_of
            from idealab.errors import IdealabError

            where = f"{self.path.name}: [{self.name}]"
            try:
                self._claim = claim_of(where, self.name, _table(where, *self.iter_markers("idealab")))
            except IdealabError as error:
                raise self.CollectError(str(error)) from None
        return self._claim


def _table(where: str, mark: pytest.Mark, *others: pytest.Mark) -> dict[str, Any]:
    """The fields of a mark, as they would stand in a ``claims.toml``: there a list is a list."""
    from idealab.errors import UsageError

    if others:
        raise UsageError(f"{where} has {1 + len(others)} idealab marks, its class's included; a test makes one claim")
    if len(mark.args) != 1 or not isinstance(mark.args[0], str):
        raise UsageError(f"{where} @pytest.mark.idealab{mark.args!r}: expected one idea by its name, then fields")
    given: dict[str, Any] = {**mark.kwargs, "idea": mark.args[0]}
    return {
        field: [*cast("tuple[Any, ...]", value)] if isinstance(value, tuple) else value
        for field, value in given.items()
    }


class _Item(pytest.Item):
    """One test of a claim, with the numbers behind it as properties in the JUnit report."""

    @property
    def claimed(self) -> Claimed:
        """The claim."""
        assert isinstance(self.parent, Claimed)
        return self.parent

    def runtest(self) -> None:
        """Compare what was found with what is claimed."""
        found = self.claimed.verification()
        self._note(idea=found.idea, declaration=found.declaration, record=found.record or "")
        self.compare(found)

    def compare(self, found: Verification) -> None:
        """Fail where what was found is not what is claimed."""
        raise NotImplementedError

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where it stands, and what it is called in the report."""
        return self.path, 0, f"[{self.claimed.name}] {self.name}"

    def _note(self, **facts: object) -> None:
        self.user_properties += [(name, str(value)) for name, value in facts.items()]


class Declared(_Item):
    """What is verified is what was declared; `idealab.verify` runs nothing else, and says what has changed."""

    def compare(self, found: Verification) -> None:
        """Nothing is left to compare."""


class Seen(_Item):
    """A signature in an experiment."""

    def __init__(self, *, signature: str, experiment: str, **fields: Any) -> None:
        super().__init__(**fields)
        self.signature, self.experiment = signature, experiment

    def compare(self, found: Verification) -> None:
        """Fail unless the signature is seen as claimed; without a claim of its own a secondary one is skipped then."""
        from idealab.report.junit import seen

        result = self._result(found)
        self._note(verdict=result.verdict, evidence_log10=result.evidence_log10, seeds=result.seeds)
        self._note(formula=result.formula, tolerance=result.tolerance)
        claimed = self.claimed.claim.expected(self.signature, self.experiment)
        if result.verdict == (claimed or "present"):
            return
        if claimed is None and not result.primary:
            pytest.skip(f"secondary, {seen(result)}")
        pytest.fail(f"{self.name}: expected {claimed or 'present'}, but {seen(result)}", pytrace=False)

    def _result(self, found: Verification) -> SignatureResult:
        return next(s for s in found.signatures if (s.name, s.experiment) == (self.signature, self.experiment))


class Verdict(_Item):
    """The verdict on the idea."""

    def compare(self, found: Verification) -> None:
        """Fail unless it is the claimed one."""
        from idealab.report.junit import concluded

        self._note(verdict=found.verdict, scope=found.scope, evidence_log10=found.evidence_log10)
        claimed = self.claimed.claim.verdict
        if found.verdict != claimed:
            pytest.fail(f"{found.idea}: expected {claimed}, but {concluded(found)}", pytrace=False)
