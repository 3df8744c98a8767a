{{- define "flow-emitter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "flow-emitter.fullname" -}}
{{- $name := include "flow-emitter.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Bytes of a quantity such as 512Mi. */}}
{{- define "flow-emitter.bytes" -}}
{{- if not (kindIs "string" .) -}}
{{- printf "%d" (int64 .) -}}
{{- else -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 -}}
{{- printf "%d" (int64 (mulf (float64 (regexFind "^[0-9.]+" .)) (get $units (regexFind "[a-zA-Z]*$" .)))) -}}
{{- end -}}
{{- end -}}

{{/* Checks additional labels; takes root, name and value. */}}
{{- define "flow-emitter.checkLabels" -}}
{{- $own := include "flow-emitter.labels" .root | fromYaml -}}
{{- range $label, $_ := .value -}}
{{- if hasKey $own $label -}}
{{- fail (printf "flowEmitter.%s has %s, which the chart sets: choose another name for the label." $.name $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "flow-emitter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "flow-emitter.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "flow-emitter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "flow-emitter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: emitter
app.kubernetes.io/part-of: openova-flow
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "flow-emitter.serviceAccountName" -}}
{{- default (include "flow-emitter.fullname" .) .Values.flowEmitter.serviceAccount.name -}}
{{- end -}}

{{/* The Lease that the pods of one flow and region contend for. The adapter derives its name in the same way. */}}
{{- define "flow-emitter.lease" -}}
openova-flow-adapter-flux-{{ printf "%s/%s" .Values.flowEmitter.flowId .Values.flowEmitter.regionKey | sha256sum | trunc 10 }}
{{- end -}}

{{/* Rules to read Flux objects. */}}
{{- define "flow-emitter.fluxRules" -}}
- apiGroups: [helm.toolkit.fluxcd.io]
  resources: [helmreleases]
  verbs: [get, list, watch]
- apiGroups: [source.toolkit.fluxcd.io]
  resources: [helmcharts, helmrepositories, ocirepositories, gitrepositories, buckets, externalartifacts]
  verbs: [get, list, watch]
- apiGroups: [kustomize.toolkit.fluxcd.io]
  resources: [kustomizations]
  verbs: [get, list, watch]
- apiGroups: [source.extensions.fluxcd.io]
  resources: [artifactgenerators]
  verbs: [get, list, watch]
- apiGroups: [fluxcd.controlplane.io]
  resources: [resourcesets, fluxinstances]
  verbs: [get, list, watch]
{{- end -}}

{{/* Rule to read the identity of the cluster. */}}
{{- define "flow-emitter.identityRules" -}}
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: [kube-system]
  verbs: [get]
{{- end -}}

{{/* The whole image reference. */}}
{{- define "flow-emitter.image" -}}
{{- $image := .Values.flowEmitter.image -}}
{{- $tag := toString (default "" $image.tag) -}}
{{- if not (regexMatch "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$" $tag) -}}
{{- fail (printf "flowEmitter.image.tag is %q: set it to the version of the image to run, such as %s." $tag .Chart.AppVersion) -}}
{{- end -}}
{{- if eq $tag "latest" -}}
{{- fail (printf "flowEmitter.image.tag is \"latest\", which is another image tomorrow: set it to a version, such as %s." .Chart.AppVersion) -}}
{{- end -}}
{{- $host := "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?" -}}
{{- $path := "(/[a-z0-9]+((\\.|__?|-+)[a-z0-9]+)*)" -}}
{{- $registry := default "harbor.openova.io" .Values.global.imageRegistry -}}
{{- if not (regexMatch (printf "^%s%s*$" $host $path) $registry) -}}
{{- fail (printf "global.imageRegistry is %q: set it to a host such as registry.example.com, without https:// and without a slash at its end." $registry) -}}
{{- end -}}
{{- $repository := default (printf "%s/proxy-ghcr/openova-io/openova/openova-flow-adapter-flux" $registry) $image.repository -}}
{{- if or (not (regexMatch (printf "^%s%s+$" $host $path) $repository)) (gt (len $repository) 255) -}}
{{- fail (printf "flowEmitter.image.repository is %q: set it to the image's whole name without tag, such as registry.example.com/openova/openova-flow-adapter-flux, or leave it empty." $repository) -}}
{{- end -}}
{{- $digest := default "" $image.digest -}}
{{- if and $digest (not (regexMatch "^sha256:[0-9a-f]{64}$" $digest)) -}}
{{- fail (printf "flowEmitter.image.digest is %q: set it to sha256: and 64 hexadecimal digits, or leave it empty." $digest) -}}
{{- end -}}
{{- printf "%s:%s" $repository $tag -}}{{- if $digest -}}@{{ $digest }}{{- end -}}
{{- end -}}

{{/* Checks a duration of ms, s or m; takes name, value, example, and least and most in milliseconds. */}}
{{- define "flow-emitter.duration" -}}
{{- $value := toString (default "" .value) -}}
{{- $ms := -1 -}}
{{- if regexMatch "^[0-9]{1,9}(ms|s|m)$" $value -}}
{{- $unit := get (dict "ms" 1 "s" 1000 "m" 60000) (regexFind "[ms]+$" $value) -}}
{{- $ms = mul (atoi (regexFind "^[0-9]+" $value)) $unit -}}
{{- end -}}
{{- if or (lt (int64 $ms) (int64 .least)) (gt (int64 $ms) (int64 .most)) -}}
{{- fail (printf "flowEmitter.settings.%s is %q: set it to a whole number of ms, s or m from %dms to %dms, such as %s." .name $value (int64 .least) (int64 .most) .example) -}}
{{- end -}}
{{- end -}}

{{/* Checks what values.schema.json does not. */}}
{{- define "flow-emitter.validate" -}}
{{- $v := .Values.flowEmitter -}}
{{- $_ := include "flow-emitter.checkLabels" (dict "root" . "name" "podLabels" "value" $v.podLabels) -}}
{{- $_ := include "flow-emitter.checkLabels" (dict "root" . "name" "podMonitor.labels" "value" $v.podMonitor.labels) -}}
{{- $memory := dig "limits" "memory" "" (default dict $v.resources) -}}
{{- $bytes := int64 (include "flow-emitter.bytes" (default "0" $memory)) -}}
{{- if and $memory (lt $bytes (int64 33554432)) -}}
{{- fail (printf "flowEmitter.resources.limits.memory is %q: set it to at least 32Mi, or leave it out." (toString $memory)) -}}
{{- end -}}
{{- $url := default "" $v.flowServerUrl -}}
{{- $address := regexFind "^https?://\\[[^]]*\\]" $url -}}
{{- $groups := len (regexFindAll "[0-9A-Fa-f]+" (regexReplaceAll "^https?://" $address "") -1) -}}
{{- $ipv6 := and (regexMatch "//\\[([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?(::([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4})*)?)?\\]$" $address) (or (eq $groups 8) (and (contains "::" $address) (lt $groups 8))) -}}
{{- $port := regexFind ":[0-9]+(/|$)" (regexReplaceAll "^https?://(\\[[0-9A-Fa-f:.]+\\])?" $url "") | trimAll ":/" -}}
{{- if or (and $address (not $ipv6)) (not (regexMatch "^https?://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$" $url)) (gt (atoi (default "1" $port)) 65535) (lt (atoi (default "1" $port)) 1) -}}
{{- fail (printf "flowEmitter.flowServerUrl is %q: set it to the flow server's absolute URL, http://host or https://host, such as https://openova-flow.example.com." (regexReplaceAll "//[^/@]*@" $url "//…@")) -}}
{{- end -}}
{{- if or (not (regexMatch "^[A-Za-z0-9._:-]{1,128}$" (default "" $v.flowId))) (has $v.flowId (list "." "..")) -}}
{{- fail (printf "flowEmitter.flowId is %q: set it to the flow that this cluster is a part of, 1 to 128 characters of A-Z a-z 0-9 . _ : -, but neither \".\" nor \"..\"" (default "" $v.flowId)) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" (default "" $v.regionKey)) -}}
{{- fail (printf "flowEmitter.regionKey is %q: set it to the name of this cluster in the flow, at most 63 lower-case letters, digits and hyphens without a slash, such as fsn1." (default "" $v.regionKey)) -}}
{{- end -}}
{{- $account := $v.auth.serviceAccountToken -}}
{{- if and $account.enabled $v.token.existingSecret -}}
{{- fail (printf "flowEmitter.auth.serviceAccountToken.enabled is true while flowEmitter.token.existingSecret is %q: set flowEmitter.auth.serviceAccountToken.enabled to false, or leave flowEmitter.token.existingSecret empty." $v.token.existingSecret) -}}
{{- end -}}
{{- if and $account.enabled (not (regexMatch "^[A-Za-z0-9._:/-]{1,253}$" (default "" $account.audience))) -}}
{{- fail (printf "flowEmitter.auth.serviceAccountToken.audience is %q: set it to the audience that the flow server's tokens file has, such as openova-flow." (default "" $account.audience)) -}}
{{- end -}}
{{- range $name := list "token" "ca" -}}
{{- $secret := get $v $name -}}
{{- if and $secret.existingSecret (not (regexMatch "^[A-Za-z0-9_][A-Za-z0-9._-]*$" (default "" $secret.key))) -}}
{{- fail (printf "flowEmitter.%s.key is %q: set it to the key of the Secret that holds it." $name (default "" $secret.key)) -}}
{{- end -}}
{{- end -}}
{{- $_ := include "flow-emitter.duration" (dict "name" "emitInterval" "value" $v.settings.emitInterval "least" 1 "most" 60000 "example" "200ms") -}}
{{- $_ := include "flow-emitter.duration" (dict "name" "postTimeout" "value" $v.settings.postTimeout "least" 10 "most" 600000 "example" "10s") -}}
{{- end -}}

{{/* Two rules, since RBAC cannot limit create by name. */}}
{{- define "flow-emitter.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "flow-emitter.lease" . }}]
  verbs: [get, update]
{{- end -}}

{{/* Rules to find Flux controllers that are down. */}}
{{- define "flow-emitter.controllerRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [list]
{{- end -}}

{{/* A Role and its binding to the service account; takes root, name, namespace and rules. */}}
{{- define "flow-emitter.role" }}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name | quote }}
  namespace: {{ .namespace | quote }}
  labels:
    {{- include "flow-emitter.labels" .root | nindent 4 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name | quote }}
  namespace: {{ .namespace | quote }}
  labels:
    {{- include "flow-emitter.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name | quote }}
subjects:
  - kind: ServiceAccount
    name: {{ include "flow-emitter.serviceAccountName" .root | quote }}
    namespace: {{ .root.Release.Namespace | quote }}
---
{{- end -}}
