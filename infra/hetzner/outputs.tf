output "user_data" {
  description = "cloud-config of each region's control plane, by region."
  value       = local.user_data
  sensitive   = true

  precondition {
    # length counts base64 characters, four for three bytes.
    condition     = alltrue([for text in values(local.user_data) : floor(length(trim(base64encode(text), "=")) * 3 / 4) <= 32768])
    error_message = "A region's user_data is larger than the 32 KiB that Hetzner takes."
  }
}

output "secrets" {
  description = "Manifest of each region's Secrets, by region, to apply after a token has changed."
  value       = local.secrets
  sensitive   = true
}

output "operator_token" {
  description = "Token for people, with the scope admin for all flows."
  value       = local.operator_token
  sensitive   = true
}

output "flow_url" {
  description = "The page of the flow."
  value       = "${local.flow_url}/?flow=${urlencode(var.deployment_id)}"
}
