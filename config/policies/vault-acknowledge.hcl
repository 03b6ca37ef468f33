# What flashback-rotator needs beside vault.hcl where `acknowledge = true`: to write into the custom
# metadata of the secret which version is live. A patch touches no entry but its own two. Where a
# policy cannot have `patch`, `update` does: docs/rotation.md says what that costs.

path "secret/metadata/llm/openai" {
  capabilities = ["read", "patch"]
}
