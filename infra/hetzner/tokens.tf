# Adding or removing a region does not change the tokens of others.
resource "random_bytes" "ingest" {
  for_each = setsubtract(var.regions, nonsensitive(keys(var.ingest_tokens)))
  length   = 32
}

resource "random_bytes" "operator" {
  count  = nonsensitive(var.operator_token == null) ? 1 : 0
  length = 32
}

locals {
  made = merge({ for region, bytes in random_bytes.ingest : region => bytes.base64 }, { for bytes in random_bytes.operator : "" => bytes.base64 })
  # Safe in an Authorization header and in a URL.
  made_tokens    = { for key, base64 in local.made : key => "ofl_${replace(replace(trimsuffix(base64, "="), "+", "-"), "/", "_")}" }
  ingest_tokens  = { for region in var.regions : region => try(var.ingest_tokens[region], local.made_tokens[region]) }
  operator_token = sensitive(var.operator_token == null ? local.made_tokens[""] : var.operator_token)

  # The server has only hashes.
  tokens_file = jsonencode({
    tokens = concat(
      [for region in var.regions : {
        name   = "emitter-${region}"
        sha256 = sha256(local.ingest_tokens[region])
        scopes = ["read", "ingest"]
        flows  = [var.deployment_id]
        # Writes only its own region.
        regions = [region]
      }],
      [{
        name   = "operator"
        sha256 = sha256(local.operator_token)
        scopes = ["admin"]
        flows  = ["*"]
      }],
    )
  })

  # The kit's releases expect these names and keys.
  secrets = { for region in var.regions : region => join("---\n", [for object in concat(
    [
      {
        apiVersion = "v1"
        kind       = "Namespace"
        metadata   = { name = "openova-flow" }
      },
      {
        apiVersion = "v1"
        kind       = "Secret"
        metadata   = { name = "openova-flow-ingest-token", namespace = "openova-flow" }
        stringData = { token = local.ingest_tokens[region] }
      },
    ],
    [for file in region == var.primary_region ? [local.tokens_file] : [] : {
      apiVersion = "v1"
      kind       = "Secret"
      metadata   = { name = "openova-flow-tokens", namespace = "openova-flow" }
      stringData = { "tokens.json" = file }
    }],
  ) : yamlencode(object)]) }
}
