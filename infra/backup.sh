#!/usr/bin/env bash
# Keeps databases, artifacts and GENLIB_HOME's datasets and run folders in a new folder of FOLDER, named by the time:
#   PGHOST=... PGUSER=... PGPASSWORD=... ARTIFACTS=s3://mlflow GENLIB_HOME=... infra/backup.sh FOLDER
# ARTIFACTS is what MLflow's server has as --artifacts-destination: S3 (with its AWS_... and MLFLOW_S3_ENDPOINT_URL) or a
# folder. Servers and trainings may go on meanwhile: whatever a database names was there before it did, so databases
# come first.
set -euo pipefail
folder=${1:?usage: backup.sh FOLDER}
: "${ARTIFACTS:?is where MLflow keeps artifacts: s3://BUCKET or a folder}" "${GENLIB_HOME:?is the folder of runs}"
umask 077
name=$(date --utc +%Y%m%dT%H%M%SZ)
mkdir --parents "$folder"
partial=$(mktemp --directory "$folder/.partial-$name-XXXX")
trap 'rm -rf "$partial"' EXIT

for database in prefect mlflow; do
    pg_dump --format custom --no-owner --no-privileges --file "$partial/$database.dump" "$database"
done

mkdir "$partial/artifacts"
python - "$ARTIFACTS" "$partial/artifacts" <<'PYTHON'
import sys
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

get_artifact_repository(sys.argv[1]).download_artifacts("", sys.argv[2])
PYTHON

# 1 says that a file changed or went while it was read: a run that goes on, whose checkpoints are whole or not there.
tar --create --file "$partial/home.tar" --directory "$GENLIB_HOME" \
    --files-from <(cd "$GENLIB_HOME" && find . -mindepth 1 -maxdepth 1 \( -name data -o -name runs \)) || (($? == 1))

sums=$(cd "$partial" && find . -type f -print0 | sort --zero-terminated | xargs --null sha256sum)
echo "$sums" >"$partial/SHA256SUMS"
sync
mv "$partial" "$folder/$name"
trap - EXIT
du --summarize --human-readable "$folder/$name"
