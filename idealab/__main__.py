"""``python -m idealab``."""

import sys

from idealab.cli import main

if __name__ == "__main__":
    sys.exit(main())
