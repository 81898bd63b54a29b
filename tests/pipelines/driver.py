"""`python -m tests.pipelines.driver ARGUMENTS` is `python -m pipelines ARGUMENTS` without patience for MLflow."""

import sys

from pipelines import environment
from pipelines.__main__ import main

if __name__ == "__main__":
    environment.configure()
    from pipelines import tasks

    tasks.register.retries = 0
    sys.exit(main())
