locals {
  # Releases that Flux needs are taken from the kit's slots, so that Flux finds them as it would install them.
  before_flux = { for slot in ["01-cilium", "03-flux"] : slot => {
    for document in split("\n---\n", file("${path.module}/../../clusters/_template/bootstrap-kit/${slot}.yaml")) :
    yamldecode(document).kind => yamldecode(document).spec
  } }

  charts = join("---\n", [for slot, kinds in local.before_flux : yamlencode({
    apiVersion = "helm.cattle.io/v1"
    kind       = "HelmChart"
    metadata   = { name = kinds.HelmRelease.releaseName, namespace = "kube-system" }
    spec = {
      repo            = kinds.HelmRepository.url
      chart           = kinds.HelmRelease.chart.spec.chart
      version         = kinds.HelmRelease.chart.spec.version
      targetNamespace = kinds.HelmRelease.targetNamespace
      createNamespace = true
      # Uses the host's network: there is no other yet.
      bootstrap     = slot == "01-cilium"
      valuesContent = yamlencode(kinds.HelmRelease.values)
    }
  })])

  # Cilium reads these definitions at its start, and the kit's routes need them. The version is the one that Cilium supports.
  gateway_api_version = "v1.3.0"
  gateway_api_sha256 = {
    gatewayclasses  = "7c8ee2c1878d9dcc6ba106181e3d14d7eaa520ec070233d62f3aa0d674d19450"
    gateways        = "c949e7c3951227b92a582817a7a660558ce0fb94c081da264b4e2bbe4a1e5387"
    grpcroutes      = "5867279c3cfd77377fe7e9255b22751f17592242b9b5e7485c74b13b268d13c5"
    httproutes      = "a4ecf600c7e0bfd3cdb24e6411938d9b330117a26675f303cc6d9a407cb257d1"
    referencegrants = "7587b2e7e5b1b9a26717b3ef8142f64e6600637eadf481a6bd0031740644b495"
  }

  flow_url = "https://openova-flow.${var.sovereign_fqdn}"

  user_data = { for region in var.regions : region => templatefile("${path.module}/cloudinit-control-plane.tftpl", {
    k3s_version         = var.k3s_version
    k3s_sha256          = var.k3s_sha256
    gateway_api_version = local.gateway_api_version
    gateway_api_sha256  = local.gateway_api_sha256
    charts              = local.charts
    secrets             = local.secrets[region]
    kit_url             = var.kit_url
    kit_ref             = var.kit_tag == null ? { branch = var.kit_branch } : { tag = var.kit_tag }
    kit_path            = region == var.primary_region ? "./clusters/_template/bootstrap-kit" : "./clusters/_template/bootstrap-kit-secondary"
    substitute = {
      SOVEREIGN_FQDN          = var.sovereign_fqdn
      SOVEREIGN_DEPLOYMENT_ID = var.deployment_id
      REGION_KEY              = region
      # In the server's own cluster the Service works before DNS, gateway and certificate do.
      FLOW_SERVER_URL = region == var.primary_region ? "http://openova-flow-server.openova-flow.svc.cluster.local:8080" : local.flow_url
    }
  }) }
}
