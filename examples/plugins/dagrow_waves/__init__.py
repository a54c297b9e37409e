"""Parts for dagrow: each file registers one, and pyproject.toml names the files as entry points."""
