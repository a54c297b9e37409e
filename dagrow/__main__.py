"""``python -m dagrow`` is the ``dagrow`` command."""

from dagrow.cli.main import main

main()
