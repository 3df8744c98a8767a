package install

import (
	"strings"
	"testing"
)

type refusal struct{ set, want string }

// byValue are values that the helpers refuse with one sentence, which names the value and says what to set.
var byValue = map[string][]refusal{
	server: {
		{"flowServer.image.tag=", `flowServer.image.tag is "": set it to the version of the image to run, such as 0.1.0.`},
		{"flowServer.image.tag=null", `flowServer.image.tag is "": set it to the version`},
		{"flowServer.image.tag=a b", `flowServer.image.tag is "a b": set it to the version`},
		{"flowServer.image.tag=latest", `flowServer.image.tag is "latest", which is another image tomorrow: set it to a version, such as 0.1.0.`},
		{"flowServer.image.repository=registry.example.com/flow:1", `flowServer.image.repository is "registry.example.com/flow:1": set it to the image's whole name without tag`},
		{"flowServer.image.repository=https://registry.example.com/flow", `flowServer.image.repository is "https://registry.example.com/flow": set it to`},
		{"flowServer.image.repository=flow", `flowServer.image.repository is "flow": set it to`},
		{"flowServer.image.digest=sha256:12", `flowServer.image.digest is "sha256:12": set it to sha256: and 64 hexadecimal digits`},
		{"global.imageRegistry=https://registry.example.com", `global.imageRegistry is "https://registry.example.com": set it to a host`},
		{"global.imageRegistry=registry.example.com//mirror", `global.imageRegistry is "registry.example.com//mirror": set it to a host`},
		{"global.imageRegistry=registry.example.com:70000", `global.imageRegistry is "registry.example.com:70000": set it to a host`},
		{"flowServer.image.repository=registry.example.com/a..b", `flowServer.image.repository is "registry.example.com/a..b": set it to`},
		{"flowServer.image.repository=-registry/a", `flowServer.image.repository is "-registry/a": set it to`},
		{"flowServer.image.repository=registry.example.com/" + strings.Repeat("a", 235), `: set it to the image's whole name without tag`},
		{"flowServer.podLabels.app\\.kubernetes\\.io/name=mine", `flowServer.podLabels has app.kubernetes.io/name, which the chart sets: name the label otherwise.`},
		{"flowServer.resources.limits.memory=16Mi", `flowServer.resources.limits.memory is "16Mi": set it to at least 64Mi, or leave it out.`},
		{"flowServer.resources.limits.memory=256Mi", `flowServer.settings.maxStateBytes is 268435456: set it to at most three quarters of flowServer.resources.limits.memory, which is 268435456, or raise that.`},
		{"flowServer.basePath=", `flowServer.basePath is "": set it to a path that starts and ends with a slash`},
		{"flowServer.basePath=flow", `flowServer.basePath is "flow": set it to a path`},
		{"flowServer.basePath=//", `flowServer.basePath is "//": set it to a path`},
		{"flowServer.basePath=/a b/", `flowServer.basePath is "/a b/": set it to a path`},
		{"flowServer.basePath=/%zz/", `flowServer.basePath is "/%zz/": set it to a path`},
		{"flowServer.basePath=/a/../", `flowServer.basePath is "/a/../": set it to a path`},
		{"flowServer.settings.maxBatchBytes=2048", `flowServer.settings.maxBatchBytes is 2048: set it to at least maxMessageBytes, which is 1048576.`},
		{"flowServer.settings.maxIngestBytes=2097152", `flowServer.settings.maxIngestBytes is 2097152: set it to at least maxBatchBytes, which is 16777216.`},
		{"flowServer.settings.idleTimeout=59s", `flowServer.settings.idleTimeout is "59s": set it to a whole number of s, m or h from 60s to 315360000s, such as 72h.`},
		{"flowServer.settings.idleTimeout=72d", `flowServer.settings.idleTimeout is "72d": set it to`},
		{"flowServer.settings.writeTimeout=0s", `flowServer.settings.writeTimeout is "0s": set it to`},
		{"flowServer.settings.readTimeout=2h", `flowServer.settings.readTimeout is "2h": set it to`},
		{"flowServer.settings.drainDelay=6s", `flowServer.settings.drainDelay is "6s": set it to`},
		{"flowServer.tokens.existingSecret=s,flowServer.tokens.key=", `flowServer.tokens.key is "": set it to the key of the Secret`},
		{"flowServer.tokens.existingSecret=s,flowServer.tokens.key=../a", `flowServer.tokens.key is "../a": set it to`},
		{route + "flowServer.httpRoute.hostname=", `flowServer.httpRoute.hostname is "": set it to the host name that the route is for`},
		{route + "flowServer.httpRoute.hostname=https://a.b", `flowServer.httpRoute.hostname is "https://a.b": set it to`},
		{route + "flowServer.httpRoute.gateway.name=", `flowServer.httpRoute.gateway.name is "": set it to the name of the Gateway`},
		{route + "flowServer.httpRoute.gateway.name=Gate Way", `flowServer.httpRoute.gateway.name is "Gate Way": set it to`},
		{"flowServer.tokens.existingSecret=", `flowServer.tokens.existingSecret is empty: set it to the name of a Secret with a tokens file, such as openova-flow-tokens, or set flowServer.insecure to true if whoever reaches the Service may read and write everything.`},
		{"flowServer.insecure=true", `flowServer.insecure is true while flowServer.tokens.existingSecret is "openova-flow-tokens": set the one to false or the other to nothing.`},
		{insecure + route, `flowServer.insecure is true while flowServer.httpRoute.enabled is true, which would let everybody read and write: set flowServer.insecure to false and flowServer.tokens.existingSecret to the name of a Secret`},
		{insecure + "flowServer.service.type=LoadBalancer", `flowServer.service.type is "LoadBalancer" while flowServer.insecure is true, which would let everybody read and write: set it to ClusterIP, or set up tokens.`},
		{insecure + "flowServer.service.type=NodePort", `flowServer.service.type is "NodePort" while flowServer.insecure is true`},
		{"flowServer.corsOrigins={https://a.example.com/}", `flowServer.corsOrigins has "https://a.example.com/": set it to origins in lower case without a path, such as https://console.example.com.`},
		{"flowServer.corsOrigins={*}", `flowServer.corsOrigins has "*": set it to`},
		{"flowServer.persistence.existingClaim=a", `flowServer.persistence.existingClaim is set while flowServer.persistence.enabled is false: turn that on, or leave the claim out.`},
		{"flowServer.mode=embedded,flowServer.persistence.size=1Mi", `flowServer.persistence.size is "1Mi": set it to at least 64Mi.`},
		{"flowServer.mode=embedded,flowServer.persistence.sync=5ms", `flowServer.persistence.sync is "5ms": set it to always, or to a whole number of ms, s or m from 10ms to 59m, such as 1s.`},
		{"flowServer.mode=embedded,flowServer.persistence.sync=0m", `flowServer.persistence.sync is "0m": set it to`},
		{"flowServer.nats.url=nats://a", `flowServer.nats names a NATS while flowServer.mode is "memory": set that to jetstream, or leave url and Secrets of flowServer.nats out.`},
		{"flowServer.mode=embedded,flowServer.nats.credentials.existingSecret=a", `flowServer.nats names a NATS while flowServer.mode is "embedded": set that to jetstream`},
		{"flowServer.mode=jetstream", `flowServer.nats.url has "": set it to nats://host:4222 or tls://host:4222, with commas between several servers, such as nats://nats.nats.svc.cluster.local:4222.`},
		{"flowServer.mode=jetstream,flowServer.nats.url=nats:4222", `flowServer.nats.url has "nats:4222": set it to`},
		{jetstream + `\,nats://b/c`, `flowServer.nats.url has "nats://b/c": set it to`},
		{jetstream + `\,nats://me:secret@b`, `flowServer.nats.url has "nats://…@b": set it to`},
		{jetstream + ":99999", `flowServer.nats.url has "nats://a:99999": set it to`},
		{jetstream + ",flowServer.persistence.enabled=true", `flowServer.persistence is for the modes memory and embedded, and in mode jetstream the flows are in NATS: set flowServer.persistence.enabled to false`},
		{jetstream + ",flowServer.persistence.existingClaim=a", `flowServer.persistence is for the modes memory and embedded`},
		{jetstream + ",flowServer.nats.credentials.existingSecret=s,flowServer.nats.credentials.key=a/b", `flowServer.nats.credentials.key is "a/b": set it to the key of the Secret that holds the credentials file, such as nats.creds.`},
		{jetstream + ",flowServer.nats.tls.clientCertificate=true", `flowServer.nats.tls.clientCertificate is true while flowServer.nats.tls.existingSecret is empty: set that to the name of a Secret with ca.crt, tls.crt and tls.key.`},
		{"flowServer.serviceMonitor.enabled=true", `flowServer.serviceMonitor.token.existingSecret is empty, and without a token the server gives no metrics: set it to the name of a Secret with a token whose scope is read and whose flows are *.`},
		{"flowServer.serviceMonitor.enabled=true,flowServer.serviceMonitor.token.existingSecret=s,flowServer.serviceMonitor.token.key=", `flowServer.serviceMonitor.token.key is "": set it to the key of the Secret that holds the token.`},
		{route + "flowServer.tls.existingSecret=tls", `flowServer.tls.existingSecret is set while flowServer.httpRoute.enabled is true`},
	},
	emitter: {
		{"flowEmitter.image.tag=", `flowEmitter.image.tag is "": set it to the version of the image to run, such as 0.1.0.`},
		{"flowEmitter.image.tag=latest", `flowEmitter.image.tag is "latest", which is another image tomorrow: set it to a version`},
		{"flowEmitter.image.repository=a/b:1", `flowEmitter.image.repository is "a/b:1": set it to`},
		{"flowEmitter.image.digest=x", `flowEmitter.image.digest is "x": set it to`},
		{"global.imageRegistry=a/", `global.imageRegistry is "a/"`},
		{"flowEmitter.flowServerUrl=", `flowEmitter.flowServerUrl is "": set it to the flow server's absolute URL, http://host or https://host, such as https://openova-flow.example.com.`},
		{"flowEmitter.flowServerUrl=null", `flowEmitter.flowServerUrl is "": set it to`},
		{"flowEmitter.flowServerUrl=flow:8080", `flowEmitter.flowServerUrl is "flow:8080": set it to`},
		{"flowEmitter.flowServerUrl=/flow", `flowEmitter.flowServerUrl is "/flow": set it to`},
		{"flowEmitter.flowServerUrl=ftp://flow", `flowEmitter.flowServerUrl is "ftp://flow": set it to`},
		{"flowEmitter.flowServerUrl=https://", `flowEmitter.flowServerUrl is "https://": set it to`},
		{"flowEmitter.flowServerUrl=https://flow:0", `flowEmitter.flowServerUrl is "https://flow:0": set it to`},
		{"flowEmitter.flowServerUrl=https://flow:70000", `flowEmitter.flowServerUrl is "https://flow:70000": set it to`},
		{"flowEmitter.flowServerUrl=https://me:secret@flow", `flowEmitter.flowServerUrl is "https://…@flow": set it to`},
		{"flowEmitter.flowServerUrl=https://flow?x", `flowEmitter.flowServerUrl is "https://flow?x": set it to`},
		{"flowEmitter.flowServerUrl=https://openova-flow.${SOVEREIGN_FQDN}", `flowEmitter.flowServerUrl is "https://openova-flow.${SOVEREIGN_FQDN}": set it to`},
		{"flowEmitter.flowId=", `flowEmitter.flowId is "": set it to the flow that this cluster is a part of, 1 to 128 characters of A-Z a-z 0-9 . _ : -, but not . and not ..`},
		{"flowEmitter.flowId=.", `flowEmitter.flowId is ".": set it to`},
		{"flowEmitter.flowId=..", `flowEmitter.flowId is "..": set it to`},
		{"flowEmitter.flowId=a/b", `flowEmitter.flowId is "a/b": set it to`},
		{"flowEmitter.flowId=" + strings.Repeat("a", 129), `set it to the flow that this cluster is a part of`},
		{"flowEmitter.regionKey=", `flowEmitter.regionKey is "": set it to the name of this cluster in the flow, at most 63 lower-case letters, digits and hyphens without a slash, such as fsn1.`},
		{"flowEmitter.regionKey=eu/fsn1", `flowEmitter.regionKey is "eu/fsn1": set it to`},
		{"flowEmitter.regionKey=FSN1", `flowEmitter.regionKey is "FSN1": set it to`},
		{"flowEmitter.regionKey=-a", `flowEmitter.regionKey is "-a": set it to`},
		{"flowEmitter.regionKey=" + strings.Repeat("a", 64), `: set it to the name of this cluster in the flow, at most 63 `},
		{"flowEmitter.flowServerUrl=http://[1:2]", `flowEmitter.flowServerUrl is "http://[1:2]": set it to`},
		{"flowEmitter.flowServerUrl=http://[::::]", `flowEmitter.flowServerUrl is "http://[::::]": set it to`},
		{"flowEmitter.podLabels.app\\.kubernetes\\.io/instance=mine", `flowEmitter.podLabels has app.kubernetes.io/instance, which the chart sets: name the label otherwise.`},
		{"flowEmitter.resources.limits.memory=16Mi", `flowEmitter.resources.limits.memory is "16Mi": set it to at least 32Mi, or leave it out.`},
		{"flowEmitter.token.existingSecret=s,flowEmitter.token.key=", `flowEmitter.token.key is "": set it to the key of the Secret that holds it.`},
		{"flowEmitter.ca.existingSecret=s,flowEmitter.ca.key=a/b", `flowEmitter.ca.key is "a/b": set it to`},
		{"flowEmitter.auth.serviceAccountToken.enabled=true,flowEmitter.token.existingSecret=s", `flowEmitter.auth.serviceAccountToken.enabled is true while flowEmitter.token.existingSecret is "s": set the one to false or the other to nothing.`},
		{"flowEmitter.auth.serviceAccountToken.enabled=true,flowEmitter.auth.serviceAccountToken.audience=", `flowEmitter.auth.serviceAccountToken.audience is "": set it to the audience that the flow server's tokens file has, such as openova-flow.`},
		{"flowEmitter.settings.emitInterval=0ms", `flowEmitter.settings.emitInterval is "0ms": set it to a whole number of ms, s or m from 1ms to 60000ms, such as 200ms.`},
		{"flowEmitter.settings.emitInterval=2m", `flowEmitter.settings.emitInterval is "2m": set it to`},
		{"flowEmitter.settings.postTimeout=5h", `flowEmitter.settings.postTimeout is "5h": set it to`},
	},
}

const route = "flowServer.httpRoute.enabled=true,flowServer.httpRoute.hostname=flow.example.com,flowServer.httpRoute.gateway.name=gw,"

const jetstream = "flowServer.mode=jetstream,flowServer.nats.url=nats://a"

const insecure = "flowServer.insecure=true,flowServer.tokens.existingSecret=,"

func TestEveryRequiredValueFailsTheRenderWithASentence(t *testing.T) {
	for name, refusals := range byValue {
		c := load(t, name)
		for _, r := range refusals {
			_, err := render(c, values(t, r.set), "flow", true)
			if err == nil || !strings.Contains(err.Error(), r.want) {
				t.Errorf("%s with %s: %v\nwant %s", name, r.set, err, r.want)
			}
		}
	}
}

func TestSchemaRefusals(t *testing.T) {
	for name, refusals := range map[string][]refusal{
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
			{"flowServer.resources.limits.memory=lots", "/flowServer/resources/limits/memory"},
			{"flowServer.podLabels.team=a b", "/flowServer/podLabels/team"},
			{"flowServer.nodeSelector.a b=c", "a b"},
			{"flowServer.insecure=yes", "/flowServer/insecure"},
			{"flowServer.tokens=null", "tokens"},
			{"flowServer.corsOrigins=https://a", "/flowServer/corsOrigins"},
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
		for _, r := range refusals {
			_, err := render(c, values(t, r.set), "flow", true)
			if err == nil || !strings.Contains(err.Error(), "schema") || !strings.Contains(err.Error(), r.want) {
				t.Errorf("%s with %s: %v, want a word of the schema on %s", name, r.set, err, r.want)
			}
		}
	}
}

func TestANameThatAServiceCantHaveFailsTheRender(t *testing.T) {
	for release, name := range map[string]string{"1": "1-openova-flow-server", "a.b": "a.b-openova-flow-server"} {
		_, err := render(load(t, server), nil, release, true)
		if want := `the objects' name is "` + name + `", which a Service can't have: set fullnameOverride to`; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestOneServerEvenWithoutTheSchema(t *testing.T) {
	for _, mode := range []string{"memory", "embedded"} {
		_, err := render(load(t, server), values(t, "flowServer.replicas=2,flowServer.mode="+mode), "flow", false)
		if want := "flowServer.replicas is 2: set it to 1, since in mode " + mode + " the state of a flow is in the memory of one server, or set flowServer.mode to jetstream."; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
