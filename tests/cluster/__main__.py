"""`python -m tests.cluster [sqlite | postgresql]`: servers and a worker to try things on, gone at Ctrl-C."""

import signal
import sys

from tests.cluster.cluster import Cluster

if __name__ == "__main__":
    with Cluster.started(sys.argv[1] if len(sys.argv) > 1 else "postgresql") as cluster, cluster.worker("local"):
        print(cluster.deploy(), flush=True)
        for name, value in cluster.environment.items():
            if not name.startswith("PREFECT_SERVER_"):
                print(f"export {name}={value}", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print()
