#!/usr/bin/env bash
# Two databases, each with a role that owns it and can do nothing else. PostgreSQL's image runs this once, on an empty
# volume, with POSTGRES_USER, PREFECT_DATABASE_PASSWORD and MLFLOW_DATABASE_PASSWORD set.
set -euo pipefail
: "${PREFECT_DATABASE_PASSWORD:?}" "${MLFLOW_DATABASE_PASSWORD:?}"
for name in prefect mlflow; do
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
        --set name="$name" --set variable="${name^^}_DATABASE_PASSWORD" <<'SQL'
\getenv password :variable
CREATE ROLE :"name" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --command 'REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC'
