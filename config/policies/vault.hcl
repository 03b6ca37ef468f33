# All that flashback-rotator needs of Vault or OpenBao, for one key at `llm/openai` in a KV 2 engine
# that is mounted at `secret/`. Repeat the first two blocks for each key, or write `llm/*`.

# Looks: which version there is. Nothing secret is in the answer. Without this block each look reads
# the data instead.
path "secret/metadata/llm/openai" {
  capabilities = ["read"]
}

# Reads, when the version has changed. In a KV 1 engine this block is all there is, and its path is
# "secret/llm/openai".
path "secret/data/llm/openai" {
  capabilities = ["read"]
}

# The rotator's own token. Both are in the policy `default`, which every token has unless its role
# says otherwise.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}
