"""A long single run in chunks, with checkpoints on the disk from which it goes on after a kill.

The whole state of the run is written every so many seconds, whole or not at all; the run that goes on has the same bits
as one that nothing disturbed. What is traced cannot be stopped half-way: inside `observe` this is for experiments that
observe on the host (`Experiment(host=True)`).
"""

from __future__ import annotations

# JAX and Orbax annotate their functions only in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from idealab.errors import LedgerError, UsageError

State = TypeVar("State")

_KEPT = 2  # checkpoints; the older one stands in where the newer is torn


class _Checkpoint(NamedTuple):
    done: int
    leaves: list[Any]


class Stopped(BaseException):
    """The run was asked to stop, and has kept what it has; no Exception, so that no experiment takes it for one."""


@dataclass
class _Seed:
    """The seed that is observed on the host: where its checkpoints go, and who may ask it to stop."""

    folder: Path | None
    stop: Event
    runs: int = 0


_SEED: ContextVar[_Seed | None] = ContextVar("seed", default=None)


@contextmanager
def observing_seed(folder: Path | None, stop: Event) -> Generator[None]:
    """Give the runs of one seed a folder for their checkpoints, None for none, and let them be asked to stop."""
    token = _SEED.set(_Seed(folder, stop))
    try:
        yield
    finally:
        _SEED.reset(token)


def checkpointed(
    step: Callable[[State, jax.Array], State],
    state: State,
    chunks: int,
    *,
    directory: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    every: float = 60.0,
) -> State:
    """Apply ``step`` to a state ``chunks`` times, and go on from the last checkpoint after a kill.

    Parameters
    ----------
    step
        ``(state, i) -> state``, compiled by `jax.jit`; i = 0, 1, ... is the number of the chunk, and all that it may
        know of time: ``state`` holds whatever else goes on, random keys too (`jax.random.key_data`). A chunk should
        take a second or so.
    state
        A tree of arrays on one device, with which a new run begins.
    chunks
        How many in all; more than in an earlier run extends it.
    directory
        Where the checkpoints of this run, and of no other, are kept. The two newest stay, the last one also when the
        run is over: the same call then returns its state at once. Left out inside an `observe` on the host, it is a
        folder of the seed's own beside the ledger's records, which goes as soon as the seed is recorded.
    settings
        What decides ``step``, in terms of JSON. A checkpoint of other settings, another beginning, other shapes or
        another version of JAX is refused.
    every
        Seconds between checkpoints; 0 writes one after each chunk. A kill costs what came after the last one.

    Returns
    -------
    State
        The state after all chunks: the same bits, however often the run was cut short, on an equal machine.

    Raises
    ------
    UsageError
        If ``directory`` is left out where nobody observes, or holds another run or one that is further on; if another
        process is writing there; or if ``step`` changes the structure, a shape or a dtype of the state.
    LedgerError
        If a checkpoint cannot be written.
    """
    if chunks < 0:
        raise UsageError(f"chunks={chunks!r} must be a number of chunks, 0 or more")
    leaves, structure = jax.tree.flatten(jax.tree.map(jnp.asarray, state))
    _check(step, jax.tree.unflatten(structure, leaves))
    configuration = _configuration(leaves, str(structure), settings or {})

    @jax.jit
    def advance(leaves: Sequence[jax.Array], i: jax.Array) -> list[jax.Array]:
        new = jax.tree.leaves(step(jax.tree.unflatten(structure, leaves), i))
        # A result of weak type would come back from the disk as one of strong type, and be rounded in another way.
        return [jax.lax.convert_element_type(leaf, old.dtype) for leaf, old in zip(new, leaves, strict=True)]

    seed = _SEED.get()
    folder = _folder(directory, seed)
    with nullcontext() if folder is None else _alone(folder):
        done, leaves = (folder and _newest(folder, configuration, chunks)) or _Checkpoint(0, leaves)
        saved, last = done, time.monotonic()
        try:
            while done < chunks:
                leaves = jax.block_until_ready(advance(leaves, np.uint32(done)))
                done += 1
                if folder and (done == chunks or time.monotonic() - last >= every):
                    _save(folder, _Checkpoint(done, leaves), configuration)
                    saved, last = done, time.monotonic()
                if seed and seed.stop.is_set() and done < chunks:
                    raise Stopped
        except (KeyboardInterrupt, Stopped):
            if folder and done > saved:
                _save(folder, _Checkpoint(done, leaves), configuration)
            raise
    return jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in leaves])


def _folder(directory: str | os.PathLike[str] | None, seed: _Seed | None) -> Path | None:
    """Where the checkpoints of a run go: as it says, or else into the next folder of the seed that is observed."""
    if directory is not None:
        return Path(directory).absolute()
    if seed is None:
        raise UsageError("checkpointed needs a directory: only inside an observe with host=True is there one by itself")
    seed.runs += 1
    return seed.folder and seed.folder / str(seed.runs)


def _check(step: Callable[[Any, jax.Array], Any], state: Any) -> None:
    before, after = (jax.tree.map(_form, tree) for tree in (state, jax.eval_shape(step, state, np.uint32(0))))
    if before != after:
        raise UsageError(f"step must return a state like the one it is given, {before}; it returned {after}")


def _form(leaf: Any) -> str:
    if not jnp.issubdtype(leaf.dtype, jnp.number) and leaf.dtype != bool:
        raise UsageError(f"a state holds arrays of numbers, not of {leaf.dtype}; keep keys as jax.random.key_data(key)")
    return f"{leaf.dtype}{list(leaf.shape)}"


def _configuration(leaves: Sequence[jax.Array], structure: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that another run might differ in, in words that JSON carries."""
    try:
        said = json.loads(json.dumps(dict(settings)))
    except (TypeError, ValueError) as error:
        raise UsageError(f"settings={settings!r} must be what JSON can say: {error}") from error
    return {
        "settings": said,
        "state": f"{structure} {[_form(leaf) for leaf in leaves]}",
        "beginning": _digest(leaves),
        "jax": jax.__version__,
        "platform": jax.default_backend(),
    }


def _digest(leaves: Sequence[Any]) -> str:
    found = hashlib.sha256()
    for leaf in leaves:
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Hold the folder against other processes, where the system can; a killed one lets go of it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise _refusal(folder, error) from error
    try:
        with suppress(ImportError):  # Windows
            import fcntl

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"another run is writing checkpoints in {folder}; wait for its end, or name another directory"
                ) from None
            except OSError:  # a file system without locks
                pass
        yield
    finally:
        os.close(lock)


def _places(folder: Path) -> list[Path]:
    """The checkpoints, the newest first, sound or not."""
    return sorted((place for place in folder.iterdir() if place.name.isdecimal()), reverse=True)


def _newest(folder: Path, configuration: Mapping[str, Any], chunks: int) -> _Checkpoint | None:
    """The newest checkpoint that is whole; what a killed run left half-written is cleared away."""
    for place in folder.glob("*.orbax-checkpoint-tmp*"):
        shutil.rmtree(place, ignore_errors=True)
    for place in _places(folder):
        about = _about(place)
        if about is None:
            warnings.warn(f"checkpoint {place} is torn or damaged, and is removed", stacklevel=4)
            shutil.rmtree(place, ignore_errors=True)  # so that the two that are kept are sound
            continue
        known, done = about["configuration"], int(place.name)
        wrong = [
            f"{name}: {known.get(name)} there, {here} here"
            for name, here in configuration.items()
            if known.get(name) != here
        ]
        if wrong:
            raise UsageError(
                f"{folder} holds checkpoints of another run ({'; '.join(wrong)}); name another directory, or delete it"
            )
        if done > chunks:
            raise UsageError(f"{folder} holds a run that has done {done} chunks, chunks={chunks}; ask for as many")
        return _Checkpoint(done, _load(place, about))
    return None


def _about(place: Path) -> dict[str, Any] | None:
    """What was written of a checkpoint when it was finished; None unless each of its files is as it was then."""
    try:
        about = json.loads(place.with_suffix(".json").read_bytes())
        return about if about["files"] == _files(place) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _files(place: Path) -> dict[str, str]:
    """The hash of every file of a checkpoint, by its path, and all of them on the disk for good."""
    found: dict[str, str] = {}
    for file in sorted(file for file in place.rglob("*") if file.is_file()):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            found[file.relative_to(place).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def _load(place: Path, about: Mapping[str, Any]) -> list[Any]:
    import orbax.checkpoint as ocp

    target = {f"{i:06d}": np.empty(shape, kind) for i, (shape, kind) in enumerate(about["leaves"])}
    with ocp.StandardCheckpointer() as checkpointer:
        found = checkpointer.restore(place, target)
    return [found[name] for name in sorted(found)]


def _save(folder: Path, checkpoint: _Checkpoint, configuration: Mapping[str, Any]) -> None:
    import orbax.checkpoint as ocp

    place, leaves = folder / f"{checkpoint.done:012d}", [np.asarray(leaf) for leaf in checkpoint.leaves]
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(place, {f"{i:06d}": leaf for i, leaf in enumerate(leaves)}, force=True)
        shapes = [[list(leaf.shape), str(leaf.dtype)] for leaf in leaves]
        about = {"configuration": configuration, "leaves": shapes, "files": _files(place)}
        with (folder / "unfinished").open("w") as stream:
            json.dump(about, stream)
            stream.flush()
            os.fsync(stream.fileno())
        (folder / "unfinished").replace(place.with_suffix(".json"))  # only now is there a checkpoint
        for old in _places(folder)[_KEPT:]:
            old.with_suffix(".json").unlink(missing_ok=True)
            shutil.rmtree(old)
    except Exception as error:
        raise _refusal(folder, error) from error


def _refusal(folder: Path, error: Exception) -> LedgerError:
    said = " ".join(str(error).split())[:200]
    return LedgerError(f"no checkpoint can be written in {folder} ({said}); make room there, or name another directory")
