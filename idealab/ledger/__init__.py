"""The evidence: immutable, content-addressed records, and the directory that holds them."""

from idealab.ledger.health import Health as Health
from idealab.ledger.records import (
    BATCH as BATCH,
    DECLARATION as DECLARATION,
    VERIFICATION as VERIFICATION,
    Batch as Batch,
    Declaration as Declaration,
    Verification as Verification,
    canonical as canonical,
    decode as decode,
    digest as digest,
)
from idealab.ledger.store import Ledger as Ledger
