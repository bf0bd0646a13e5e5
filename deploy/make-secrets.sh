#!/bin/sh
# Makes the secrets that compose.yaml mounts, once, with random passwords: deploy/secrets/*, not to be committed.
set -eu
cd "$(dirname "$0")"
if [ -e secrets ]; then
  echo "deploy/secrets exists already; nothing is changed." >&2
  exit 0
fi
# The folder is closed to others. The files are open, since the users inside the containers have other numbers.
mkdir -m 0700 secrets
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
database=$(random)
broker=$(random)
umask 022
printf '%s' "$database" >secrets/postgres_password
printf 'postgres://mozhao:%s@postgres/mozhao' "$database" >secrets/database_url
printf 'default_user = mozhao\ndefault_pass = %s\n' "$broker" >secrets/rabbitmq_user.conf
printf 'amqp://mozhao:%s@rabbitmq/%%2f' "$broker" >secrets/amqp_url
echo "made deploy/secrets"
