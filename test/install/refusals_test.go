package install

import (
	"slices"
	"strings"
	"testing"
)

// refusal is a set of invalid values, with the texts that the error must contain: the setting, its value, limits and other settings.
type refusal struct {
	set   string
	names []string
}

var rejectedByTemplates = map[string][]refusal{
	server: {
		{"flowRelay.enabled=true", []string{"flowRelay.config"}},
		{relay + "flowRelay.token.existingSecret=", []string{"flowRelay.token.existingSecret"}},
		{relay + "flowServer.tls.existingSecret=x", []string{"flowRelay.serverURL", "flowServer.tls.existingSecret"}},
		{relay + "flowRelay.image.repository=registry.example.com/relay:1", []string{"flowRelay.image.repository", `"registry.example.com/relay:1"`}},
		{relay + "flowRelay.image.tag=latest", []string{"flowRelay.image.tag", `"latest"`}},
		{relay + "flowRelay.image.digest=sha256:12", []string{"flowRelay.image.digest", `"sha256:12"`}},
		{"flowServer.image.tag=", []string{"flowServer.image.tag", `""`}},
		{"flowServer.image.tag=null", []string{"flowServer.image.tag", `""`}},
		{"flowServer.image.tag=a b", []string{"flowServer.image.tag", `"a b"`}},
		{"flowServer.image.tag=latest", []string{"flowServer.image.tag", `"latest"`}},
		{"flowServer.image.repository=registry.example.com/flow:1", []string{"flowServer.image.repository", `"registry.example.com/flow:1"`}},
		{"flowServer.image.repository=https://registry.example.com/flow", []string{"flowServer.image.repository", `"https://registry.example.com/flow"`}},
		{"flowServer.image.repository=flow", []string{"flowServer.image.repository", `"flow"`}},
		{"flowServer.image.digest=sha256:12", []string{"flowServer.image.digest", `"sha256:12"`}},
		{"global.imageRegistry=https://registry.example.com", []string{"global.imageRegistry", `"https://registry.example.com"`}},
		{"global.imageRegistry=registry.example.com//mirror", []string{"global.imageRegistry", `"registry.example.com//mirror"`}},
		{"global.imageRegistry=registry.example.com:70000", []string{"global.imageRegistry", `"registry.example.com:70000"`}},
		{"flowServer.image.repository=registry.example.com/a..b", []string{"flowServer.image.repository", `"registry.example.com/a..b"`}},
		{"flowServer.image.repository=-registry/a", []string{"flowServer.image.repository", `"-registry/a"`}},
		{"flowServer.image.repository=registry.example.com/" + strings.Repeat("a", 235), []string{"flowServer.image.repository"}},
		{"flowServer.dashboard.labels.app\\.kubernetes\\.io/name=mine", []string{"flowServer.dashboard.labels", "app.kubernetes.io/name"}},
		{"flowServer.podLabels.app\\.kubernetes\\.io/name=mine", []string{"flowServer.podLabels", "app.kubernetes.io/name"}},
		{"flowServer.resources.limits.memory=16Mi", []string{"flowServer.resources.limits.memory", `"16Mi"`, "64Mi"}},
		{"flowServer.resources.limits.memory=256Mi", []string{"flowServer.settings.maxStateBytes", "268435456", "flowServer.resources.limits.memory"}},
		{"flowServer.basePath=", []string{"flowServer.basePath", `""`}},
		{"flowServer.basePath=flow", []string{"flowServer.basePath", `"flow"`}},
		{"flowServer.basePath=//", []string{"flowServer.basePath", `"//"`}},
		{"flowServer.basePath=/a b/", []string{"flowServer.basePath", `"/a b/"`}},
		{"flowServer.basePath=/%zz/", []string{"flowServer.basePath", `"/%zz/"`}},
		{"flowServer.basePath=/a/../", []string{"flowServer.basePath", `"/a/../"`}},
		{"flowServer.settings.maxMessageBytes=4096,flowServer.settings.maxBatchBytes=2048", []string{"flowServer.settings.maxBatchBytes", "2048", "maxMessageBytes", "4096"}},
		{"flowServer.settings.maxIngestBytes=2097152", []string{"flowServer.settings.maxIngestBytes", "2097152", "maxBatchBytes", "16777216"}},
		{"flowServer.settings.idleTimeout=59s", []string{"flowServer.settings.idleTimeout", `"59s"`, "60s", "315360000s"}},
		{"flowServer.settings.idleTimeout=72d", []string{"flowServer.settings.idleTimeout", `"72d"`}},
		{"flowServer.settings.writeTimeout=0s", []string{"flowServer.settings.writeTimeout", `"0s"`}},
		{"flowServer.settings.readTimeout=2h", []string{"flowServer.settings.readTimeout", `"2h"`}},
		{"flowServer.settings.drainDelay=6s", []string{"flowServer.settings.drainDelay", `"6s"`}},
		{"flowServer.tokens.existingSecret=s,flowServer.tokens.key=", []string{"flowServer.tokens.key", `""`}},
		{"flowServer.tokens.existingSecret=s,flowServer.tokens.key=../a", []string{"flowServer.tokens.key", `"../a"`}},
		{route + "flowServer.httpRoute.hostname=", []string{"flowServer.httpRoute.hostname", `""`}},
		{route + "flowServer.httpRoute.hostname=https://a.b", []string{"flowServer.httpRoute.hostname", `"https://a.b"`}},
		{route + "flowServer.httpRoute.gateway.name=", []string{"flowServer.httpRoute.gateway.name", `""`}},
		{route + "flowServer.httpRoute.gateway.name=Gate Way", []string{"flowServer.httpRoute.gateway.name", `"Gate Way"`}},
		{"flowServer.tokens.existingSecret=", []string{"flowServer.tokens.existingSecret", "flowServer.insecure"}},
		{"flowServer.insecure=true", []string{"flowServer.insecure", "flowServer.tokens.existingSecret", `"openova-flow-tokens"`}},
		{insecure + route, []string{"flowServer.insecure", "flowServer.httpRoute.enabled", "flowServer.tokens.existingSecret"}},
		{insecure + "flowServer.service.type=LoadBalancer", []string{"flowServer.service.type", `"LoadBalancer"`, "flowServer.insecure"}},
		{insecure + "flowServer.service.type=NodePort", []string{"flowServer.service.type", `"NodePort"`, "flowServer.insecure"}},
		{"flowServer.corsOrigins={https://a.example.com:443}", []string{"flowServer.corsOrigins", `"https://a.example.com:443"`}},
		{"flowServer.corsOrigins={https://a.example.com/}", []string{"flowServer.corsOrigins", `"https://a.example.com/"`}},
		{"flowServer.commitURLTemplate=http://git.example.com/{commit}", []string{"flowServer.commitURLTemplate", `"http://git.example.com/{commit}"`}},
		{"flowServer.commitURLTemplate=https://git.example.com/x", []string{"flowServer.commitURLTemplate", `"https://git.example.com/x"`}},
		{"flowServer.commitURLTemplate=https://{commit}/x", []string{"flowServer.commitURLTemplate", `"https://{commit}/x"`}},
		{"flowServer.corsOrigins={*}", []string{"flowServer.corsOrigins", `"*"`}},
		{"flowServer.frameAncestors={https://a.example.com/}", []string{"flowServer.frameAncestors", `"https://a.example.com/"`}},
		{"flowServer.frameAncestors={none}", []string{"flowServer.frameAncestors", `"none"`}},
		{"flowServer.persistence.existingClaim=a", []string{"flowServer.persistence.existingClaim", "flowServer.persistence.enabled"}},
		{"flowServer.mode=embedded,flowServer.persistence.size=1Mi", []string{"flowServer.persistence.size", `"1Mi"`, "64Mi"}},
		{"flowServer.mode=embedded,flowServer.persistence.sync=5ms", []string{"flowServer.persistence.sync", `"5ms"`, "10ms", "1h"}},
		{"flowServer.mode=embedded,flowServer.persistence.sync=3601s", []string{"flowServer.persistence.sync", `"3601s"`}},
		{"flowServer.mode=embedded,flowServer.persistence.sync=0m", []string{"flowServer.persistence.sync", `"0m"`}},
		{"flowServer.nats.url=nats://a", []string{"flowServer.nats", "flowServer.mode", `"memory"`}},
		{"flowServer.mode=embedded,flowServer.nats.credentials.existingSecret=a", []string{"flowServer.nats", "flowServer.mode", `"embedded"`}},
		{"flowServer.mode=jetstream", []string{"flowServer.nats.url", `""`}},
		{"flowServer.mode=jetstream,flowServer.nats.url=nats:4222", []string{"flowServer.nats.url", `"nats:4222"`}},
		{jetstream + `\,nats://b/c`, []string{"flowServer.nats.url", `"nats://b/c"`}},
		{jetstream + `\,nats://me:secret@b`, []string{"flowServer.nats.url", `"nats://…@b"`}},
		{jetstream + ":99999", []string{"flowServer.nats.url", `"nats://a:99999"`}},
		{jetstream + ",flowServer.persistence.enabled=true", []string{"flowServer.persistence", "flowServer.persistence.enabled"}},
		{jetstream + ",flowServer.persistence.existingClaim=a", []string{"flowServer.persistence"}},
		{jetstream + ",flowServer.nats.credentials.existingSecret=s,flowServer.nats.credentials.key=a/b", []string{"flowServer.nats.credentials.key", `"a/b"`}},
		{jetstream + ",flowServer.nats.tls.clientCertificate=true", []string{"flowServer.nats.tls.clientCertificate", "flowServer.nats.tls.existingSecret"}},
		{"flowServer.serviceMonitor.enabled=true", []string{"flowServer.serviceMonitor.token.existingSecret"}},
		{"flowServer.serviceMonitor.enabled=true,flowServer.serviceMonitor.token.existingSecret=s,flowServer.serviceMonitor.token.key=", []string{"flowServer.serviceMonitor.token.key", `""`}},
		{route + "flowServer.tls.existingSecret=tls", []string{"flowServer.tls.existingSecret", "flowServer.httpRoute.enabled"}},
	},
	emitter: {
		{"flowEmitter.image.tag=", []string{"flowEmitter.image.tag", `""`}},
		{"flowEmitter.image.tag=latest", []string{"flowEmitter.image.tag", `"latest"`}},
		{"flowEmitter.image.repository=a/b:1", []string{"flowEmitter.image.repository", `"a/b:1"`}},
		{"flowEmitter.image.digest=x", []string{"flowEmitter.image.digest", `"x"`}},
		{"global.imageRegistry=a/", []string{"global.imageRegistry", `"a/"`}},
		{"flowEmitter.flowServerUrl=", []string{"flowEmitter.flowServerUrl", `""`}},
		{"flowEmitter.flowServerUrl=null", []string{"flowEmitter.flowServerUrl", `""`}},
		{"flowEmitter.flowServerUrl=flow:8080", []string{"flowEmitter.flowServerUrl", `"flow:8080"`}},
		{"flowEmitter.flowServerUrl=/flow", []string{"flowEmitter.flowServerUrl", `"/flow"`}},
		{"flowEmitter.flowServerUrl=ftp://flow", []string{"flowEmitter.flowServerUrl", `"ftp://flow"`}},
		{"flowEmitter.flowServerUrl=https://", []string{"flowEmitter.flowServerUrl", `"https://"`}},
		{"flowEmitter.flowServerUrl=https://flow:0", []string{"flowEmitter.flowServerUrl", `"https://flow:0"`}},
		{"flowEmitter.flowServerUrl=https://flow:70000", []string{"flowEmitter.flowServerUrl", `"https://flow:70000"`}},
		{"flowEmitter.flowServerUrl=https://me:secret@flow", []string{"flowEmitter.flowServerUrl", `"https://…@flow"`}},
		{"flowEmitter.flowServerUrl=https://flow?x", []string{"flowEmitter.flowServerUrl", `"https://flow?x"`}},
		{"flowEmitter.flowServerUrl=https://openova-flow.${SOVEREIGN_FQDN}", []string{"flowEmitter.flowServerUrl", `"https://openova-flow.${SOVEREIGN_FQDN}"`}},
		{"flowEmitter.flowId=", []string{"flowEmitter.flowId", `""`, "128"}},
		{"flowEmitter.flowId=.", []string{"flowEmitter.flowId", `"."`}},
		{"flowEmitter.flowId=..", []string{"flowEmitter.flowId", `".."`}},
		{"flowEmitter.flowId=a/b", []string{"flowEmitter.flowId", `"a/b"`}},
		{"flowEmitter.flowId=" + strings.Repeat("a", 129), []string{"flowEmitter.flowId"}},
		{"flowEmitter.regionKey=", []string{"flowEmitter.regionKey", `""`, "63"}},
		{"flowEmitter.regionKey=eu/fsn1", []string{"flowEmitter.regionKey", `"eu/fsn1"`}},
		{"flowEmitter.regionKey=FSN1", []string{"flowEmitter.regionKey", `"FSN1"`}},
		{"flowEmitter.regionKey=-a", []string{"flowEmitter.regionKey", `"-a"`}},
		{"flowEmitter.regionKey=" + strings.Repeat("a", 64), []string{"flowEmitter.regionKey", "63"}},
		{"flowEmitter.flowServerUrl=http://[1:2]", []string{"flowEmitter.flowServerUrl", `"http://[1:2]"`}},
		{"flowEmitter.flowServerUrl=http://[::::]", []string{"flowEmitter.flowServerUrl", `"http://[::::]"`}},
		{"flowEmitter.podLabels.app\\.kubernetes\\.io/instance=mine", []string{"flowEmitter.podLabels", "app.kubernetes.io/instance"}},
		{"flowEmitter.resources.limits.memory=16Mi", []string{"flowEmitter.resources.limits.memory", `"16Mi"`, "32Mi"}},
		{"flowEmitter.token.existingSecret=s,flowEmitter.token.key=", []string{"flowEmitter.token.key", `""`}},
		{"flowEmitter.ca.existingSecret=s,flowEmitter.ca.key=a/b", []string{"flowEmitter.ca.key", `"a/b"`}},
		{"flowEmitter.auth.serviceAccountToken.enabled=true,flowEmitter.token.existingSecret=s", []string{"flowEmitter.auth.serviceAccountToken.enabled", "flowEmitter.token.existingSecret", `"s"`}},
		{"flowEmitter.auth.serviceAccountToken.enabled=true,flowEmitter.auth.serviceAccountToken.audience=", []string{"flowEmitter.auth.serviceAccountToken.audience", `""`}},
		{"flowEmitter.settings.emitInterval=0ms", []string{"flowEmitter.settings.emitInterval", `"0ms"`, "1ms", "60000ms"}},
		{"flowEmitter.settings.emitInterval=2m", []string{"flowEmitter.settings.emitInterval", `"2m"`}},
		{"flowEmitter.settings.postTimeout=5h", []string{"flowEmitter.settings.postTimeout", `"5h"`}},
	},
}

const route = "flowServer.httpRoute.enabled=true,flowServer.httpRoute.hostname=flow.example.com,flowServer.httpRoute.gateway.name=gw,"

const jetstream = "flowServer.mode=jetstream,flowServer.nats.url=nats://a"

const relay = "flowRelay.enabled=true,flowRelay.token.existingSecret=t,flowRelay.config.channels.x.otel.url=http://a,flowRelay.config.rules[0].name=a,flowRelay.config.rules[0].channels={x},"

const insecure = "flowServer.insecure=true,flowServer.tokens.existingSecret=,"

// notNamed returns the names that the text of err lacks; if err is nil, "any error" and all names.
func notNamed(err error, names ...string) []string {
	if err == nil {
		return append([]string{"any error"}, names...)
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return strings.Contains(err.Error(), name) })
}

func TestCharts_InvalidValuesFailTheRender(t *testing.T) {
	for name, refusals := range rejectedByTemplates {
		c := load(t, name)
		for _, r := range refusals {
			_, err := render(c, values(t, r.set), "flow", true)
			if missing := notNamed(err, r.names...); len(missing) > 0 {
				t.Errorf("%s with %s: %v\ndoes not name %q", name, r.set, err, missing)
			}
		}
	}
}

func TestServerChart_AcceptsValidSync(t *testing.T) {
	c := load(t, server)
	for _, sync := range []string{"always", "10ms", "999999ms", "3600000ms", "1s", "999s", "1800s", "3600s", "1m", "10m", "59m", "60m", "1h"} {
		if _, err := render(c, values(t, "flowServer.mode=embedded,flowServer.persistence.sync="+sync), "flow", true); err != nil {
			t.Errorf("%s: %v", sync, err)
		}
	}
}

func TestSchema_RejectsInvalidValues(t *testing.T) {
	type rejection struct{ set, field string }
	for name, rejections := range map[string][]rejection{
		server: {
			{"flowserver.image.tag=1", "flowserver"},
			{"flowServer.image.tags=1", "tags"},
			{"flowServer.settings.ringcapacity=5", "ringcapacity"},
			{"flowServer.image.tag=1", "/flowServer/image/tag"},
			{"flowServer.replicas=2", "/flowServer/replicas"},
			{"flowServer.httpRoute.enabled=yes", "/flowServer/httpRoute/enabled"},
			{"flowServer.settings.ringCapacity=0", "/flowServer/settings/ringCapacity"},
			{"flowServer.settings.ringCapacity=null", "ringCapacity"},
			{"flowServer.settings.logFormat=xml", "/flowServer/settings/logFormat"},
			{"flowServer.service.port=70000", "/flowServer/service/port"},
			{"flowServer.tokens.existingSecret=My_Secret", "/flowServer/tokens/existingSecret"},
			{"flowServer.serviceMonitor.interval=30", "/flowServer/serviceMonitor/interval"},
			{"flowServer.prometheusRule.enabled=yes", "/flowServer/prometheusRule/enabled"},
			{"flowServer.dashboard.labels.grafana_dashboard=1", "/flowServer/dashboard/labels/grafana_dashboard"},
			{"flowServer.resources.limits.memory=lots", "/flowServer/resources/limits/memory"},
			{"flowServer.podLabels.team=a b", "/flowServer/podLabels/team"},
			{"flowServer.nodeSelector.a b=c", "a b"},
			{"flowServer.insecure=yes", "/flowServer/insecure"},
			{"flowServer.tokens=null", "tokens"},
			{"flowServer.corsOrigins=https://a", "/flowServer/corsOrigins"},
			{"flowServer.frameAncestors=self", "/flowServer/frameAncestors"},
			{"flowServer.commitURLTemplate=7", "/flowServer/commitURLTemplate"},
			{"flowServer.mode=disk", "/flowServer/mode"},
			{"flowServer.mode=embedded,flowServer.replicas=2", "/flowServer/replicas"},
			{jetstream + ",flowServer.replicas=0", "/flowServer/replicas"},
			{jetstream + ",flowServer.replicas=11", "/flowServer/replicas"},
			{jetstream + ",flowServer.nats.streamName=Flow", "/flowServer/nats/streamName"},
			{jetstream + ",flowServer.nats.streamReplicas=2", "/flowServer/nats/streamReplicas"},
			{"flowServer.nats.password=secret", "password"},
			{"flowServer.persistence.size=lots", "/flowServer/persistence/size"},
			{"flowServer.persistence.existingClaim=A", "/flowServer/persistence/existingClaim"},
			{"flowServer.networkPolicy.egress={a}", "/flowServer/networkPolicy/egress/0"},
			{"flowServer.serviceMonitor.token.value=secret", "value"},
			{"flowServer=null", "flowServer"},
			{"fullnameOverride=My Flow", "/fullnameOverride"},
		},
		emitter: {
			{"flowServerUrl=http://a", "flowServerUrl"},
			{"flowEmitter.flowServerURL=http://a", "flowServerURL"},
			{"flowEmitter.flowId=7", "/flowEmitter/flowId"},
			{"flowEmitter.kind=StatefulSet", "/flowEmitter/kind"},
			{"flowEmitter.replicas=0", "/flowEmitter/replicas"},
			{"flowEmitter.namespaces={A_B}", "/flowEmitter/namespaces/0"},
			{"flowEmitter.namespaces={a,a}", "/flowEmitter/namespaces"},
			{"flowEmitter.token.value=secret", "value"},
			{"flowEmitter.auth.serviceAccountToken.expirationSeconds=599", "/flowEmitter/auth/serviceAccountToken/expirationSeconds"},
			{"flowEmitter.auth.serviceAccountToken=true", "/flowEmitter/auth/serviceAccountToken"},
			{"flowEmitter.auth.token=secret", "token"},
			{"flowEmitter.settings.logLevel=loud", "/flowEmitter/settings/logLevel"},
		},
	} {
		c := load(t, name)
		for _, r := range rejections {
			_, err := render(c, values(t, r.set), "flow", true)
			if len(notNamed(err, "schema", r.field)) > 0 {
				t.Errorf("%s with %s: %v, want a schema error about %s", name, r.set, err, r.field)
			}
		}
	}
}

func TestServerChart_InvalidServiceNameFailsTheRender(t *testing.T) {
	for release, name := range map[string]string{"1": "1-openova-flow-server", "a.b": "a.b-openova-flow-server"} {
		_, err := render(load(t, server), nil, release, true)
		if missing := notNamed(err, `"`+name+`"`, "fullnameOverride"); len(missing) > 0 {
			t.Errorf("%v does not name %q", err, missing)
		}
	}
}

func TestServerChart_ReplicasAreLimitedWithoutTheSchema(t *testing.T) {
	for _, mode := range []string{"memory", "embedded"} {
		_, err := render(load(t, server), values(t, "flowServer.replicas=2,flowServer.mode="+mode), "flow", false)
		if missing := notNamed(err, "flowServer.replicas", "2", mode, "flowServer.mode"); len(missing) > 0 {
			t.Errorf("%v does not name %q", err, missing)
		}
	}
}
