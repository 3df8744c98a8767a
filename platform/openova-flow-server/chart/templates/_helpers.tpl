{{- define "flow-server.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "flow-server.fullname" -}}
{{- $name := include "flow-server.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Bytes of a quantity such as 512Mi. */}}
{{- define "flow-server.bytes" -}}
{{- if not (kindIs "string" .) -}}
{{- printf "%d" (int64 .) -}}
{{- else -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 -}}
{{- printf "%d" (int64 (mulf (float64 (regexFind "^[0-9.]+" .)) (get $units (regexFind "[a-zA-Z]*$" .)))) -}}
{{- end -}}
{{- end -}}

{{/* Checks additional labels; takes root, name and value. */}}
{{- define "flow-server.checkLabels" -}}
{{- $own := include "flow-server.labels" .root | fromYaml -}}
{{- range $label, $_ := .value -}}
{{- if hasKey $own $label -}}
{{- fail (printf "flowServer.%s has %s, which the chart sets: choose another name for the label." $.name $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "flow-server.selectorLabels" -}}
app.kubernetes.io/name: {{ include "flow-server.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "flow-server.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "flow-server.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: server
app.kubernetes.io/part-of: openova-flow
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "flow-server.serviceAccountName" -}}
{{- default (include "flow-server.fullname" .) .Values.flowServer.serviceAccount.name -}}
{{- end -}}

{{/* The program for a mode, also the name of its image. */}}
{{- define "flow-server.program" -}}
{{- ternary "openova-flow-server" "openova-flow-server-jetstream" (eq .Values.flowServer.mode "memory") -}}
{{- end -}}

{{/* The kind of the workload. */}}
{{- define "flow-server.kind" -}}
{{- ternary "StatefulSet" "Deployment" (eq .Values.flowServer.mode "embedded") -}}
{{- end -}}

{{/* A pattern for host or host:port. */}}
{{- define "flow-server.host" -}}
[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?
{{- end -}}

{{/* The whole image reference. */}}
{{- define "flow-server.image" -}}
{{- $image := .Values.flowServer.image -}}
{{- $tag := toString (default "" $image.tag) -}}
{{- if not (regexMatch "^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$" $tag) -}}
{{- fail (printf "flowServer.image.tag is %q: set it to the version of the image to run, such as %s." $tag .Chart.AppVersion) -}}
{{- end -}}
{{- if eq $tag "latest" -}}
{{- fail (printf "flowServer.image.tag is \"latest\", which is another image tomorrow: set it to a version, such as %s." .Chart.AppVersion) -}}
{{- end -}}
{{- $host := include "flow-server.host" . -}}
{{- $path := "(/[a-z0-9]+((\\.|__?|-+)[a-z0-9]+)*)" -}}
{{- $registry := default "harbor.openova.io" .Values.global.imageRegistry -}}
{{- if not (regexMatch (printf "^%s%s*$" $host $path) $registry) -}}
{{- fail (printf "global.imageRegistry is %q: set it to a host such as registry.example.com, without https:// and without a slash at its end." $registry) -}}
{{- end -}}
{{- $repository := default (printf "%s/proxy-ghcr/openova-io/openova/%s" $registry (include "flow-server.program" .)) $image.repository -}}
{{- if or (not (regexMatch (printf "^%s%s+$" $host $path) $repository)) (gt (len $repository) 255) -}}
{{- fail (printf "flowServer.image.repository is %q: set it to the image's whole name without tag, such as registry.example.com/openova/openova-flow-server, or leave it empty." $repository) -}}
{{- end -}}
{{- $digest := default "" $image.digest -}}
{{- if and $digest (not (regexMatch "^sha256:[0-9a-f]{64}$" $digest)) -}}
{{- fail (printf "flowServer.image.digest is %q: set it to sha256: and 64 hexadecimal digits, or leave it empty." $digest) -}}
{{- end -}}
{{- printf "%s:%s" $repository $tag -}}{{- if $digest -}}@{{ $digest }}{{- end -}}
{{- end -}}

{{/* Checks a duration of s, m or h; takes name, value, example, and least and most in seconds. */}}
{{- define "flow-server.duration" -}}
{{- $value := toString (default "" .value) -}}
{{- $seconds := -1 -}}
{{- if regexMatch "^[0-9]{1,9}[smh]$" $value -}}
{{- $unit := get (dict "s" 1 "m" 60 "h" 3600) (regexFind "[smh]$" $value) -}}
{{- $seconds = mul (atoi (regexFind "^[0-9]+" $value)) $unit -}}
{{- end -}}
{{- if or (lt (int64 $seconds) (int64 .least)) (gt (int64 $seconds) (int64 .most)) -}}
{{- fail (printf "flowServer.settings.%s is %q: set it to a whole number of s, m or h from %ds to %ds, such as %s." .name $value (int64 .least) (int64 .most) .example) -}}
{{- end -}}
{{- end -}}

{{/* Checks the values for storage. */}}
{{- define "flow-server.validateStore" -}}
{{- $v := .Values.flowServer -}}
{{- if and (eq $v.mode "memory") $v.persistence.existingClaim (not $v.persistence.enabled) -}}
{{- fail "flowServer.persistence.existingClaim is set while flowServer.persistence.enabled is false: turn that on, or leave the claim out." -}}
{{- end -}}
{{- if and (eq $v.mode "embedded") (lt (int64 (include "flow-server.bytes" $v.persistence.size)) 67108864) -}}
{{- fail (printf "flowServer.persistence.size is %q: set it to at least 64Mi." $v.persistence.size) -}}
{{- end -}}
{{- if and (ne $v.persistence.sync "always") (not (regexMatch "^(([1-9][0-9]{1,5}|[12][0-9]{6}|3[0-5][0-9]{5}|3600000)ms|([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|3600)s|([1-9]|[1-5][0-9]|60)m|1h)$" $v.persistence.sync)) -}}
{{- fail (printf "flowServer.persistence.sync is %q: set it to always, or to a whole number of ms, s, m or h from 10ms to 1h, such as 1s." $v.persistence.sync) -}}
{{- end -}}
{{- if and (ne $v.mode "jetstream") (or $v.nats.url $v.nats.credentials.existingSecret $v.nats.tls.existingSecret) -}}
{{- fail (printf "flowServer.nats has a url or a Secret while flowServer.mode is %q: set the mode to jetstream, or leave the url and the Secrets of flowServer.nats empty." $v.mode) -}}
{{- end -}}
{{- if eq $v.mode "jetstream" -}}
{{- if or $v.persistence.enabled $v.persistence.existingClaim -}}
{{- fail "flowServer.persistence is for the modes memory and embedded, and in mode jetstream the flows are in NATS: set flowServer.persistence.enabled to false and leave flowServer.persistence.existingClaim empty." -}}
{{- end -}}
{{- range splitList "," (default "" $v.nats.url) -}}
{{- if not (regexMatch (printf "^(nats|tls)://%s$" (include "flow-server.host" $)) .) -}}
{{- fail (printf "flowServer.nats.url has %q: set it to nats://host:4222 or tls://host:4222, with commas between several servers, such as nats://nats.nats.svc.cluster.local:4222." (regexReplaceAll "//[^/@]*@" . "//…@")) -}}
{{- end -}}
{{- end -}}
{{- if and $v.nats.credentials.existingSecret (not (regexMatch "^[A-Za-z0-9_][A-Za-z0-9._-]*$" (default "" $v.nats.credentials.key))) -}}
{{- fail (printf "flowServer.nats.credentials.key is %q: set it to the key of the Secret that holds the credentials file, such as nats.creds." (default "" $v.nats.credentials.key)) -}}
{{- end -}}
{{- if and $v.nats.tls.clientCertificate (not $v.nats.tls.existingSecret) -}}
{{- fail "flowServer.nats.tls.clientCertificate is true while flowServer.nats.tls.existingSecret is empty: set that to the name of a Secret with ca.crt, tls.crt and tls.key." -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Checks combinations of values, and values that the server would reject at its start. */}}
{{- define "flow-server.validate" -}}
{{- $v := .Values.flowServer -}}
{{- if and (ne $v.mode "jetstream") (ne (toString $v.replicas) "1") -}}
{{- fail (printf "flowServer.replicas is %v: set it to 1, since in mode %s one server has the flows, or set flowServer.mode to jetstream." $v.replicas $v.mode) -}}
{{- end -}}
{{- include "flow-server.validateStore" . -}}
{{- $_ := include "flow-server.checkLabels" (dict "root" . "name" "podLabels" "value" $v.podLabels) -}}
{{- $_ := include "flow-server.checkLabels" (dict "root" . "name" "serviceMonitor.labels" "value" $v.serviceMonitor.labels) -}}
{{- $_ := include "flow-server.checkLabels" (dict "root" . "name" "prometheusRule.labels" "value" $v.prometheusRule.labels) -}}
{{- $_ := include "flow-server.checkLabels" (dict "root" . "name" "dashboard.labels" "value" $v.dashboard.labels) -}}
{{- $memory := dig "limits" "memory" "" (default dict $v.resources) -}}
{{- $bytes := int64 (include "flow-server.bytes" (default "0" $memory)) -}}
{{- if and $memory (lt $bytes (int64 67108864)) -}}
{{- fail (printf "flowServer.resources.limits.memory is %q: set it to at least 64Mi, or leave it out." (toString $memory)) -}}
{{- end -}}
{{- if and $memory (gt (mul 4 (int64 $v.settings.maxStateBytes)) (mul 3 $bytes)) -}}
{{- fail (printf "flowServer.settings.maxStateBytes is %d: set it to at most three quarters of flowServer.resources.limits.memory, which is %d, or raise that." (int64 $v.settings.maxStateBytes) $bytes) -}}
{{- end -}}
{{- $name := include "flow-server.fullname" . -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $name) -}}
{{- fail (printf "the objects' name is %q, which a Service can't have: set fullnameOverride to lower-case letters, digits and hyphens that begin with a letter, such as openova-flow-server." $name) -}}
{{- end -}}
{{- if or (not (regexMatch "^/([A-Za-z0-9._~-]+/)*$" (default "" $v.basePath))) (regexMatch "/[.]+/" $v.basePath) -}}
{{- fail (printf "flowServer.basePath is %q: set it to a path that starts and ends with a slash, such as / or /flow/." (default "" $v.basePath)) -}}
{{- end -}}
{{- if lt (int64 $v.settings.maxBatchBytes) (int64 $v.settings.maxMessageBytes) -}}
{{- fail (printf "flowServer.settings.maxBatchBytes is %d: set it to at least maxMessageBytes, which is %d." (int64 $v.settings.maxBatchBytes) (int64 $v.settings.maxMessageBytes)) -}}
{{- end -}}
{{- if lt (int64 $v.settings.maxIngestBytes) (int64 $v.settings.maxBatchBytes) -}}
{{- fail (printf "flowServer.settings.maxIngestBytes is %d: set it to at least maxBatchBytes, which is %d." (int64 $v.settings.maxIngestBytes) (int64 $v.settings.maxBatchBytes)) -}}
{{- end -}}
{{- $_ := include "flow-server.duration" (dict "name" "idleTimeout" "value" $v.settings.idleTimeout "least" 60 "most" 315360000 "example" "72h") -}}
{{- $_ := include "flow-server.duration" (dict "name" "writeTimeout" "value" $v.settings.writeTimeout "least" 1 "most" 3600 "example" "30s") -}}
{{- $_ := include "flow-server.duration" (dict "name" "readTimeout" "value" $v.settings.readTimeout "least" 1 "most" 3600 "example" "30s") -}}
{{- $_ := include "flow-server.duration" (dict "name" "drainDelay" "value" $v.settings.drainDelay "least" 0 "most" 5 "example" "5s") -}}
{{- if not (or $v.tokens.existingSecret $v.insecure) -}}
{{- fail "flowServer.tokens.existingSecret is empty: set it to the name of a Secret with a tokens file, such as openova-flow-tokens, or set flowServer.insecure to true if whoever reaches the Service may read and write everything." -}}
{{- end -}}
{{- if and $v.tokens.existingSecret $v.insecure -}}
{{- fail (printf "flowServer.insecure is true while flowServer.tokens.existingSecret is %q: set flowServer.insecure to false, or leave flowServer.tokens.existingSecret empty." $v.tokens.existingSecret) -}}
{{- end -}}
{{- if and $v.insecure (ne $v.service.type "ClusterIP") -}}
{{- fail (printf "flowServer.service.type is %q while flowServer.insecure is true, which would let everybody read and write: set it to ClusterIP, or set up tokens." $v.service.type) -}}
{{- end -}}
{{- if and $v.commitURLTemplate (not (regexMatch "^https://([a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?|\\{host\\})/[^ \"'<>`]*\\{commit\\}" $v.commitURLTemplate)) -}}
{{- fail (printf "flowServer.commitURLTemplate is %q: set it to an https URL with {commit}, such as https://git.example.com/{path}/-/commit/{commit}." $v.commitURLTemplate) -}}
{{- end -}}
{{- range $v.corsOrigins -}}
{{- if or (not (regexMatch "^https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?$" .)) (regexMatch "^(http:.*:80|https:.*:443)$" .) -}}
{{- fail (printf "flowServer.corsOrigins has %q: set it to origins in lower case without a path or a default port, such as https://console.example.com." .) -}}
{{- end -}}
{{- end -}}
{{- range $v.frameAncestors -}}
{{- if not (regexMatch "^(self|https?://([*][.])?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[1-9][0-9]{0,4})?)$" .) -}}
{{- fail (printf "flowServer.frameAncestors has %q: set it to self, or to origins in lower case without a path, such as https://grafana.example.com." .) -}}
{{- end -}}
{{- end -}}
{{- if $v.serviceMonitor.enabled -}}
{{- if not (or $v.insecure $v.serviceMonitor.token.existingSecret) -}}
{{- fail "flowServer.serviceMonitor.token.existingSecret is empty, and without a token the server gives no metrics: set it to the name of a Secret with a token whose scope is read and whose flows are *." -}}
{{- end -}}
{{- if and $v.serviceMonitor.token.existingSecret (not (regexMatch "^[A-Za-z0-9_][A-Za-z0-9._-]*$" (default "" $v.serviceMonitor.token.key))) -}}
{{- fail (printf "flowServer.serviceMonitor.token.key is %q: set it to the key of the Secret that holds the token." (default "" $v.serviceMonitor.token.key)) -}}
{{- end -}}
{{- end -}}
{{- if and $v.tokens.existingSecret (not (regexMatch "^[A-Za-z0-9_][A-Za-z0-9._-]*$" (default "" $v.tokens.key))) -}}
{{- fail (printf "flowServer.tokens.key is %q: set it to the key of the Secret that holds the tokens file, such as tokens.json." (default "" $v.tokens.key)) -}}
{{- end -}}
{{- if $v.httpRoute.enabled -}}
{{- if not (regexMatch "^(\\*\\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$" (default "" $v.httpRoute.hostname)) -}}
{{- fail (printf "flowServer.httpRoute.hostname is %q: set it to the host name that the route is for, such as openova-flow.example.com, or turn flowServer.httpRoute.enabled off." (default "" $v.httpRoute.hostname)) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$" (default "" $v.httpRoute.gateway.name)) -}}
{{- fail (printf "flowServer.httpRoute.gateway.name is %q: set it to the name of the Gateway that the route belongs to, or turn flowServer.httpRoute.enabled off." (default "" $v.httpRoute.gateway.name)) -}}
{{- end -}}
{{- if $v.insecure -}}
{{- fail "flowServer.insecure is true while flowServer.httpRoute.enabled is true, which would let everybody read and write: set flowServer.insecure to false and flowServer.tokens.existingSecret to the name of a Secret with a tokens file." -}}
{{- end -}}
{{- if $v.tls.existingSecret -}}
{{- fail "flowServer.tls.existingSecret is set while flowServer.httpRoute.enabled is true, but a gateway speaks plain HTTP to the server: leave TLS to the gateway and flowServer.tls.existingSecret empty." -}}
{{- end -}}
{{- end -}}
{{- end -}}
