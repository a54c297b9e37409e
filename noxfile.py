"""Sessions that need packages too large for the tests: nox -s integrations."""

import nox


@nox.session
def integrations(session: nox.Session) -> None:
    """Lightning, skorch, torchmetrics and the loggers as they are installed, not in imitation."""
    session.install("-c", "constraints.txt", ".[test,lightning,tensorboard,mlflow,wandb]", "torchmetrics", "skorch")
    session.run("python", "-m", "pytest", "-p", "no:cacheprovider", "tests/extras/check_extras.py", *session.posargs)
