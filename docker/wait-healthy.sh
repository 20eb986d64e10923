#!/usr/bin/env bash
# wait-healthy.sh SECONDS: waits until every container of the compose project on standard input (ids, one a
# line) is healthy or has ended well; says which is not.
set -euo pipefail
until=$(($(date +%s) + $1))
mapfile -t containers
while :; do
    waiting=()
    for container in "${containers[@]}"; do
        format='{{.Name}} {{.State.Status}} {{.State.ExitCode}} {{if .State.Health}}{{.State.Health.Status}}{{end}}'
        state=$(docker inspect --format "$format" "$container")
        case $state in
            *" healthy" | *" exited 0 "*) ;;
            *) waiting+=("$state") ;;
        esac
    done
    [ ${#waiting[@]} -eq 0 ] && exit 0
    if [ "$(date +%s)" -ge "$until" ]; then
        printf 'not healthy: %s\n' "${waiting[@]}" >&2
        exit 1
    fi
    sleep 1
done
