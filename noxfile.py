"""Sessions of nox: the suite on every Python and on the oldest dependencies, docs, lint, other processors.

``nox`` runs lint and the tests of each Python that is there; ``nox --list`` shows all; ``nox -s tests-3.12 --
tests/unit`` hands arguments on to pytest.
"""

from __future__ import annotations

import os

import nox

PYTHONS = ("3.11", "3.12", "3.13")
OLDEST = PYTHONS[0]

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The suite with the pinned versions of everything."""
    session.install("-c", "constraints.txt", ".[test]")
    session.run("python", "-m", "pytest", "-n", "2", *session.posargs)


@nox.session(python=OLDEST)
def every_case(session: nox.Session) -> None:
    """The suite with all cases of tests of which the others take a share: before a release."""
    session.install("-c", "constraints.txt", ".[test]")
    session.run("python", "-m", "pytest", "-n", "2", "--every-case", *session.posargs)


@nox.session(python=OLDEST)
def oldest(session: nox.Session) -> None:
    """The suite with the oldest versions of the dependencies that pyproject.toml allows."""
    session.install("-c", "constraints-oldest.txt", ".[test]")
    session.run("python", "-m", "pytest", "-n", "2", *session.posargs)


@nox.session(python=OLDEST)
def docs(session: nox.Session) -> None:
    """The site, with warnings as errors; it lies in build/site."""
    session.install("-c", "constraints.txt", ".[docs]")
    session.run("python", "docs/hooks/run_file.py", "--check")
    session.run("mkdocs", "build", "--strict", *session.posargs)


@nox.session(python=OLDEST)
def lint(session: nox.Session) -> None:
    """Style, format and types of all that is Python."""
    session.install("-c", "constraints.txt", ".[test]", "nox")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session(python=OLDEST)
def portability(session: nox.Session) -> None:
    """The suite as other processors would run it: before a release, and after changes to tolerances or ties."""
    session.install("-c", "constraints.txt", ".[test]")
    session.run("python", "tests/portability.py", *session.posargs)


@nox.session(python=OLDEST)
def integrations(session: nox.Session) -> None:
    """Torchmetrics and the loggers as they are installed, not in imitation."""
    session.install("-c", "constraints.txt", ".[test,tensorboard,mlflow,wandb]", "torchmetrics")
    session.run("python", "-m", "pytest", "-p", "no:cacheprovider", "tests/extras/check_extras.py", *session.posargs)


@nox.session(python=OLDEST)
def browser(session: nox.Session) -> None:
    """The report and the pictures of specs/ in a real browser: playwright's, or the one that BROWSER names."""
    session.install("-c", "constraints.txt", ".[test]", "playwright")
    if "BROWSER" not in os.environ:
        session.run("playwright", "install", "chromium")
    session.run(
        "python", "-m", "pytest", "-p", "no:cacheprovider", "tests/extras/check_report_page.py", *session.posargs
    )
