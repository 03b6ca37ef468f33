#!/bin/sh
# Sets OpenBao up for the tour of compose.yaml: a policy that reads one key, an AppRole that has it,
# that role's secret id for the rotator, and the key. Whatever is there already is left as it is.
set -eu

bao policy write flashback-rotator /tour/policy.hcl

bao read sys/auth/approle > /dev/null 2>&1 || bao auth enable approle
bao write auth/approle/role/flashback-rotator token_policies=flashback-rotator token_ttl=1h
bao write auth/approle/role/flashback-rotator/role-id role_id=flashback-rotator

# By rename, so that the rotator never reads half of it, and readable by its user alone.
umask 077
bao write -f -field=secret_id auth/approle/role/flashback-rotator/secret-id > /credentials/next
chown 65532:65532 /credentials/next
mv -f /credentials/next /credentials/vault-secret-id

bao kv get -mount=secret llm/openai > /dev/null 2>&1 \
    || bao kv put -mount=secret llm/openai api_key=sk-tour-1
