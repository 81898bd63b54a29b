#!/usr/bin/env bash
# Brings back what backup.sh kept, with the same variables, while both servers and all workers are stopped:
#   infra/restore.sh FOLDER/20260101T030000Z
# Everything is restored beside what is there, and takes its place at the end. What it replaces stays: the databases as
# prefect_before_... and mlflow_before_..., datasets and run folders under GENLIB_HOME/before-...
set -euo pipefail
backup=$(realpath "${1:?usage: restore.sh FOLDER/TIME}")
: "${ARTIFACTS:?is where MLflow keeps artifacts: s3://BUCKET or a folder}" "${GENLIB_HOME:?is the folder of runs}"
now=$(date --utc +%Y%m%dT%H%M%SZ)
(cd "$backup" && sha256sum --check --quiet SHA256SUMS)

query() { psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --dbname postgres "$@"; }

# Refused now, and not half way.
if ! mkdir --parents "$GENLIB_HOME" || ! [[ -w $GENLIB_HOME ]]; then
    echo "error: GENLIB_HOME ($GENLIB_HOME) cannot be written to; mount it so that it can." >&2
    exit 2
fi
for name in prefect mlflow; do
    if [[ $(query --command "SELECT 1 FROM pg_stat_activity WHERE datname = '$name' LIMIT 1") ]]; then
        echo "error: database $name is in use; stop the servers first." >&2
        exit 2
    fi
done

for name in prefect mlflow; do
    query --command "DROP DATABASE IF EXISTS ${name}_restored" --command "CREATE DATABASE ${name}_restored OWNER $name" \
        --command "REVOKE ALL ON DATABASE ${name}_restored FROM PUBLIC"
    pg_restore --exit-on-error --single-transaction --no-owner --role "$name" --dbname "${name}_restored" "$backup/$name.dump"
done

incoming=$GENLIB_HOME/.restoring
rm -rf "$incoming"
mkdir --parents "$incoming"
tar --extract --file "$backup/home.tar" --directory "$incoming"

# An artifact's name never means something else later: those that are there already become what they were.
python - "$ARTIFACTS" "$backup/artifacts" <<'PYTHON'
import sys
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

get_artifact_repository(sys.argv[1]).log_artifacts(sys.argv[2])
PYTHON

for name in prefect mlflow; do
    there=$(query --command "SELECT 1 FROM pg_database WHERE datname = '$name'")
    query ${there:+--command "ALTER DATABASE $name RENAME TO ${name}_before_${now,,}"} \
        --command "ALTER DATABASE ${name}_restored RENAME TO $name"
done
before=$GENLIB_HOME/before-$now
mkdir "$before"
for entry in data runs; do
    [[ ! -e $GENLIB_HOME/$entry ]] || mv "$GENLIB_HOME/$entry" "$before/"
    [[ ! -e $incoming/$entry ]] || mv "$incoming/$entry" "$GENLIB_HOME/"
done
rmdir --ignore-fail-on-non-empty "$before"
rm -rf "$incoming"
echo "restored from $backup"
