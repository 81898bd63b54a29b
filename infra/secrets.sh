#!/usr/bin/env bash
# Prints a file of settings with each empty one filled in, by the command that stands in its comment:
#   infra/secrets.sh infra/.env.example > infra/.env
set -euo pipefail
while IFS= read -r line; do
    if [[ $line =~ ^([A-Z_]+)=\ +\#\ (.+)$ ]]; then
        echo "${BASH_REMATCH[1]}=$(bash -c "${BASH_REMATCH[2]}")"
    else
        echo "$line"
    fi
done <"$1"
