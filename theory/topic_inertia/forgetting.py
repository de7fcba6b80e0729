"""What a memory that fades does to inertia (D9), and what networks must then show."""

from idealab.idea import Assumption, Signature

signatures: tuple[Signature, ...] = ()
assumptions: tuple[Assumption, ...] = ()
