"""`python -m tests.pipelines.driver ARGUMENTS` is `python -m pipelines ARGUMENTS` without patience for MLflow."""

import sys

from pipelines.__main__ import main
from pipelines.servers import environment

if __name__ == "__main__":
    environment.configure()
    from pipelines.flows import tasks

    tasks.register.retries = 0
    sys.exit(main())
