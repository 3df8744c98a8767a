terraform {
  # For validations that refer to other variables.
  required_version = ">= 1.9"

  required_providers {
    random = {
      source  = "hashicorp/random"
      version = ">= 3.6, < 4"
    }
  }
}
