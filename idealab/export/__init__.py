"""Evidence for other programs: tables, and folders with the metadata that archives ask for.

Nothing of a record becomes a file name, markup or a formula of a spreadsheet. To hand evidence to another ledger, there
is ``idealab ledger export``.
"""

from idealab.export.folder import FORMATS as FORMATS, export as export
