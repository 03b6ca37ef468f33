-- Reads random keys of $KEYS keys, one after the other, with the token in $TOKEN.
local keys = tonumber(os.getenv("KEYS"))
wrk.headers["X-Vault-Token"] = os.getenv("TOKEN")

request = function()
  return wrk.format("GET", string.format("/v1/secret/data/llm/key-%05d", math.random(0, keys - 1)))
end
