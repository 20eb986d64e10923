#!/usr/bin/env bash
# Builds images from Debian under the names that docker-compose.yml and the Dockerfiles use, for a machine
# that cannot pull them. Only those that are not there are built. They behave like the originals in what
# the compose file asks of them, and in nothing else.
set -euo pipefail
cd "$(dirname "$0")"

base=towpath-test/debian:bookworm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

have() { docker image inspect "$1" >/dev/null 2>&1; }

build() { # NAME, with a Dockerfile on standard input and the folder $work/context
    mkdir -p "$work/context"
    cat > "$work/context/Dockerfile"
    docker build --quiet --network none --tag "$1" "$work/context" >/dev/null
    rm -rf "$work/context"
    echo "stand-in $1 built"
}

debian() {
    have "$base" && return
    echo "stand-in $base: debootstrap and packages, some minutes"
    command -v debootstrap >/dev/null || apt-get install -y -qq debootstrap >/dev/null
    debootstrap --variant=minbase --include=ca-certificates bookworm "$work/root" >/dev/null
    # Packages must not start their services here.
    printf '#!/bin/sh\nexit 101\n' > "$work/root/usr/sbin/policy-rc.d"
    chmod +x "$work/root/usr/sbin/policy-rc.d"
    cp /etc/resolv.conf "$work/root/etc/resolv.conf"
    mount --bind /proc "$work/root/proc"
    DEBIAN_FRONTEND=noninteractive chroot "$work/root" sh -c \
        'apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql redis-server \
         rabbitmq-server python3 python3-pip gcc libc6-dev && apt-get clean' >/dev/null 2>&1
    umount "$work/root/proc"
    tar -C "$work/root" -c . | docker import - "$base" >/dev/null
    rm -rf "$work/root"
}

postgres() {
    mkdir -p "$work/context"
    cat > "$work/context/entrypoint" <<'SH'
#!/bin/sh
# Initialises the folder once: the account, its database, the scripts.
set -e
export PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data
run() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
chown postgres:postgres "$PGDATA"
mkdir -p /var/run/postgresql && chown postgres:postgres /var/run/postgresql
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    echo "$POSTGRES_PASSWORD" > /tmp/password
    chown postgres /tmp/password
    run initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 --encoding=UTF8 >/dev/null
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    run pg_ctl -w -o "-c listen_addresses=" start >/dev/null
    export PGPASSWORD=$POSTGRES_PASSWORD
    run createdb -U "$POSTGRES_USER" "${POSTGRES_DB:-$POSTGRES_USER}" 2>/dev/null || true
    for script in /docker-entrypoint-initdb.d/*.sql; do
        [ -e "$script" ] && run psql -q -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "${POSTGRES_DB:-$POSTGRES_USER}" -f "$script"
    done
    run pg_ctl -w -m fast stop >/dev/null
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups postgres -c listen_addresses='*'
SH
    chmod +x "$work/context/entrypoint"
    build postgres:17 <<DOCKER
FROM $base
ENV PATH=/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY entrypoint /entrypoint
STOPSIGNAL SIGINT
ENTRYPOINT ["/entrypoint"]
DOCKER
}

rabbitmq() {
    mkdir -p "$work/context"
    cat > "$work/context/entrypoint" <<'SH'
#!/bin/sh
set -e
export HOME=/var/lib/rabbitmq RABBITMQ_LOGS=- RABBITMQ_NODENAME=rabbit@$(hostname)
cat > /etc/rabbitmq/rabbitmq.conf <<CONF
default_user = $RABBITMQ_DEFAULT_USER
default_pass = $RABBITMQ_DEFAULT_PASS
loopback_users = none
CONF
exec /usr/lib/rabbitmq/bin/rabbitmq-server
SH
    chmod +x "$work/context/entrypoint"
    build rabbitmq:4 <<DOCKER
FROM $base
ENV HOME=/var/lib/rabbitmq PATH=/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY entrypoint /entrypoint
ENTRYPOINT ["/entrypoint"]
DOCKER
}

python() {
    mkdir -p "$work/context/wheels"
    pip download --quiet --dest "$work/context/wheels" --only-binary=:all: --python-version 3.11 \
        "psycopg[binary]>=3.2,<4"
    build python:3.13-slim <<DOCKER
FROM $base
COPY wheels /wheels
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_BREAK_SYSTEM_PACKAGES=1
DOCKER
}

rust() {
    mkdir -p "$work/context"
    toolchain=$(rustc --print sysroot)
    tar -C "$toolchain" --exclude=share -c . | { mkdir "$work/context/toolchain"; tar -C "$work/context/toolchain" -x; }
    # What the lock file names, so that the build needs no network.
    cargo fetch --quiet --locked --manifest-path ../Cargo.toml
    cp -r "${CARGO_HOME:-$HOME/.cargo}/registry" "$work/context/registry"
    rm -rf "$work/context/registry/src"
    build rust:1.95-bookworm <<DOCKER
FROM $base
LABEL towpath.lock=$lock
COPY toolchain /usr/local
COPY registry /cargo/registry
ENV CARGO_HOME=/cargo CARGO_NET_OFFLINE=true
DOCKER
}

node_image() {
    mkdir -p "$work/context/lib"
    cp "$(readlink -f "$(command -v node)")" "$work/context/node"
    cp -r "$(dirname "$(readlink -f "$(command -v npm)")")/.." "$work/context/lib/npm"
    # What the lock file names, so that the build needs no network.
    mkdir "$work/ui"
    cp ../ui/package.json ../ui/package-lock.json "$work/ui"
    (cd "$work/ui" && npm ci --silent --no-audit --no-fund --cache "$work/context/cache" >/dev/null)
    build node:24-bookworm-slim <<DOCKER
FROM $base
LABEL towpath.lock=$ui_lock
COPY node /usr/bin/node
COPY lib/npm /usr/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/bin/npm
COPY cache /npm
ENV npm_config_cache=/npm npm_config_offline=true
DOCKER
}

# A stand-in for rust or node holds the packages of one lock file; for another it is built anew. An image without
# the label is no stand-in and is left alone.
lock=$(sha256sum ../Cargo.lock | cut -d' ' -f1)
ui_lock=$(sha256sum ../ui/package-lock.json | cut -d' ' -f1)
have_for() { # IMAGE LOCK
    have "$1" || return 1
    local label
    label=$(docker image inspect --format '{{ index .Config.Labels "towpath.lock" }}' "$1")
    [ -z "$label" ] || [ "$label" = "$2" ]
}

debian
have postgres:17 || postgres
have redis:7 || build redis:7 <<DOCKER
FROM $base
ENTRYPOINT ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""]
DOCKER
have rabbitmq:4 || rabbitmq
have debian:bookworm-slim || docker tag "$base" debian:bookworm-slim
have python:3.13-slim || python
have_for rust:1.95-bookworm "$lock" || rust
have_for node:24-bookworm-slim "$ui_lock" || node_image
