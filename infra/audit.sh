#!/usr/bin/env bash
# Known vulnerabilities of the pinned dependencies, as PyPI knows them. Fails where there is one, and says how many could
# not be asked about, which is all of them where PyPI's database is out of reach.
set -euo pipefail
cd "$(dirname "$0")/.."
report=$(.venv/bin/python -m pip_audit --requirement infra/constraints.txt --no-deps --disable-pip \
    --progress-spinner off 2>&1) || { echo "$report"; exit 1; }
unknown=$(grep -c "could not be audited" <<<"$report" || true)
echo "audit: no known vulnerability; $unknown of $(grep -c == infra/constraints.txt) dependencies could not be asked about"
