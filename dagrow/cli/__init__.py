"""The ``dagrow`` command."""
