#!/usr/bin/env bash
# Installs what the tests need and this machine lacks, on Debian and its kin.
set -euo pipefail
cd "$(dirname "$0")"

packages=()
need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null || [ -x "$1" ] || packages+=("$2")
}
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages+=(postgresql)
need redis-server redis-server
ls /usr/lib/rabbitmq/lib/*/sbin/rabbitmq-server >/dev/null 2>&1 || packages+=(rabbitmq-server)
need dockerd docker.io
need docker-compose docker-compose
need openssl openssl
need g++ g++
need ip iproute2
[ -e /usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1 ] || packages+=(faketime)
need debootstrap debootstrap
need /bin/busybox busybox-static
need python3 python3
need pip python3-pip
/usr/bin/python3 -c "import aiosmtpd" 2>/dev/null || packages+=(python3-aiosmtpd)
need mariadbd mariadb-server
need chromium chromium
if [ ${#packages[@]} -gt 0 ]; then
    echo "install.sh: installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi
# Beside the build, for it is no part of the machine.
if [ ! -x ../target/schemathesis/bin/schemathesis ]; then
    echo "install.sh: installing schemathesis"
    python3 -m pip install --quiet --root-user-action=ignore --target ../target/schemathesis schemathesis==4.32.5
fi
if ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' 2>/dev/null || ! command -v npm >/dev/null; then
    echo "install.sh: the web UI and its tests need Node 20 or newer, with npm" >&2
    exit 1
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "install.sh: installing cargo-fuzz"
    cargo install --quiet --locked cargo-fuzz
fi
if ! cargo nextest --version >/dev/null 2>&1; then
    echo "install.sh: installing cargo-nextest"
    cargo install --quiet --locked cargo-nextest
fi
