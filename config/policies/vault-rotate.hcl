# What flashback-rotator needs beside vault.hcl for a key with `rotate`: to write the new key into the
# secret. A patch touches no field but the key's own. Where a policy cannot have `patch`, `update` does:
# all fields are then written as they were read. A secret with fractions or very large numbers in it, or
# with its key inside a list, needs `update` in any case; one that does not exist yet needs `create`.
# In a KV 1 engine it is `update` on "secret/llm/openai".

path "secret/data/llm/openai" {
  capabilities = ["read", "patch"]
}
