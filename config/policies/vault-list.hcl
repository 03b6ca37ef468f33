# What flashback-rotator needs beside vault.hcl to look at all keys of a folder with one call: OpenBao
# 2.2 and later. The answer has names, versions and custom metadata of all secrets in the folder, and
# no value. Repeat it for each folder. What is above stays: it is for a secret that the list is silent
# about, and for a look that a person waits for.

path "secret/detailed-metadata/llm/" {
  capabilities = ["list"]
}
