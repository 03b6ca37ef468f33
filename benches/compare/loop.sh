#!/usr/bin/env bash
# Keeps keys current as a small script does: it checks all of them, one after the other, again and again.
# Usage: loop DIRECTORY SOURCE FLASHBACK SECONDS
set -uo pipefail
directory=$1 store=$2 flashback=$3 interval=$4

declare -A pushed
while true; do
    begun=$EPOCHREALTIME
    while read -r key id; do
        body=$(curl --silent --fail --max-time 10 --header "@$directory/store-header" \
            "$store/v1/secret/data/llm/$key") || continue
        [[ $body =~ \"api_key\":\"([^\"]*)\" ]] || continue
        value=${BASH_REMATCH[1]}
        [ "$value" = "${pushed[$key]-}" ] && continue
        printf '{"secret":"%s"}' "$value" |
            curl --silent --fail --output /dev/null --request PUT --max-time 10 \
                --header "@$directory/header" --json @- "$flashback/ai/llm/$id" &&
            pushed[$key]=$value
    done < "$directory/keys"
    # Wait for the rest of the interval, if there is any.
    used=$((${EPOCHREALTIME/./} - ${begun/./}))
    rest=$(($(printf '%.0f' "${interval}e6") - used))
    ((rest > 0)) && sleep "$((rest / 1000000)).$(printf '%06d' "$((rest % 1000000))")"
done
