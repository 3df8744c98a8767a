variable "sovereign_fqdn" {
  description = "Domain of the deployment. The flow server is openova-flow. plus the domain."
  type        = string
  nullable    = false

  validation {
    condition     = length(var.sovereign_fqdn) <= 240 && can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.sovereign_fqdn))
    error_message = "sovereign_fqdn has to be a domain in lower case with a dot in it, such as example.com, of at most 240 characters."
  }
}

variable "deployment_id" {
  description = "Flow id, the same in all regions of a deployment, different between deployments."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._:-]{1,128}$", var.deployment_id)) && !contains([".", ".."], var.deployment_id)
    error_message = "deployment_id has to be 1 to 128 characters of A-Z a-z 0-9 . _ : -, but neither \".\" nor \"..\"."
  }
}

variable "regions" {
  description = "Region keys, one for each cluster: the first part of the ids of its nodes in the flow."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.regions) > 0
    error_message = "regions has to name at least one region."
  }
  validation {
    condition     = alltrue([for r in var.regions : can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", r))])
    error_message = "regions: a region key has at most 63 lower-case letters, digits and hyphens, and begins and ends with a letter or digit."
  }
  validation {
    condition     = length(distinct(var.regions)) == length(var.regions)
    error_message = "regions names a region twice."
  }
}

variable "primary_region" {
  description = "The region whose cluster runs the flow server."
  type        = string
  nullable    = false

  validation {
    condition     = contains(var.regions, var.primary_region)
    error_message = "primary_region has to be one of regions."
  }
}

variable "k3s_version" {
  description = "Release of k3s, such as v1.33.5+k3s1."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^v[0-9]+\\.[0-9]+\\.[0-9]+\\+k3s[0-9]+$", var.k3s_version))
    error_message = "k3s_version has to be one release in full, such as v1.33.5+k3s1."
  }
}

variable "k3s_sha256" {
  description = "SHA-256 of the k3s binary, by architecture, from sha256sum-amd64.txt and sha256sum-arm64.txt of the release."
  type = object({
    amd64 = optional(string, "")
    arm64 = optional(string, "")
  })
  nullable = false

  validation {
    condition     = var.k3s_sha256.amd64 != "" || var.k3s_sha256.arm64 != ""
    error_message = "k3s_sha256 has to have amd64, arm64 or both."
  }
  validation {
    condition     = alltrue([for sum in values(var.k3s_sha256) : can(regex("^([0-9a-f]{64})?$", sum))])
    error_message = "k3s_sha256: a checksum is 64 hexadecimal digits in lower case."
  }
}

variable "kit_url" {
  description = "Git repository with the bootstrap kit; must not need credentials."
  type        = string
  nullable    = false
  default     = "https://github.com/openova-io/openova"

  validation {
    condition     = can(regex("^https://[^/@?#[:space:]]+/[^@?#[:space:]]+$", var.kit_url))
    error_message = "kit_url has to be an https URL of a repository, without user, query and fragment."
  }
}

variable "kit_branch" {
  description = "Branch of the kit. Not used with kit_tag."
  type        = string
  nullable    = false
  default     = "main"

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._/+-]*$", var.kit_branch))
    error_message = "kit_branch has to be the name of a branch."
  }
}

variable "kit_tag" {
  description = "Tag of the kit; overrides kit_branch."
  type        = string
  default     = null

  validation {
    condition     = var.kit_tag == null || can(regex("^[A-Za-z0-9][A-Za-z0-9._/+-]*$", var.kit_tag))
    error_message = "kit_tag has to be the name of a tag, or null."
  }
}

variable "ingest_tokens" {
  description = "Tokens of emitters, by region. Missing ones are generated."
  type        = map(string)
  nullable    = false
  default     = {}
  sensitive   = true

  validation {
    condition     = length(setsubtract(keys(var.ingest_tokens), var.regions)) == 0
    error_message = "ingest_tokens has a token for a region that regions does not name."
  }
  validation {
    condition     = alltrue([for token in values(var.ingest_tokens) : can(regex("^[A-Za-z0-9._~+/-]{32,256}$", token))])
    error_message = "ingest_tokens: a token has 32 to 256 characters of A-Z a-z 0-9 . _ ~ + / -"
  }
  validation {
    condition     = length(distinct(values(var.ingest_tokens))) == length(var.ingest_tokens)
    error_message = "ingest_tokens has one token for two regions, so each could write the nodes of the other."
  }
}

variable "operator_token" {
  description = "Token for people. Generated if null."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.operator_token == null || can(regex("^[A-Za-z0-9._~+/-]{32,256}$", var.operator_token))
    error_message = "operator_token has to have 32 to 256 characters of A-Z a-z 0-9 . _ ~ + / -, or be null."
  }
  validation {
    condition     = !contains(values(var.ingest_tokens), coalesce(var.operator_token, "none"))
    error_message = "operator_token is the token of an emitter too, which would let that emitter do everything."
  }
}
