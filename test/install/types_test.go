package install

import (
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
)

// foreign has the kinds that have no Go type in this module.
var foreign = map[string]bool{"HTTPRoute": true, "ServiceMonitor": true, "PrometheusRule": true, "PodMonitor": true}

// TestCharts_ManifestsMatchTheirTypes finds fields that an API server would drop or reject.
func TestCharts_ManifestsMatchTheirTypes(t *testing.T) {
	types := map[string]func() any{
		"apps/v1/Deployment":                              func() any { return new(appsv1.Deployment) },
		"apps/v1/StatefulSet":                             func() any { return new(appsv1.StatefulSet) },
		"apps/v1/DaemonSet":                               func() any { return new(appsv1.DaemonSet) },
		"v1/Service":                                      func() any { return new(corev1.Service) },
		"v1/ConfigMap":                                    func() any { return new(corev1.ConfigMap) },
		"v1/PersistentVolumeClaim":                        func() any { return new(corev1.PersistentVolumeClaim) },
		"v1/ServiceAccount":                               func() any { return new(corev1.ServiceAccount) },
		"networking.k8s.io/v1/NetworkPolicy":              func() any { return new(networkingv1.NetworkPolicy) },
		"policy/v1/PodDisruptionBudget":                   func() any { return new(policyv1.PodDisruptionBudget) },
		"rbac.authorization.k8s.io/v1/ClusterRole":        func() any { return new(rbacv1.ClusterRole) },
		"rbac.authorization.k8s.io/v1/ClusterRoleBinding": func() any { return new(rbacv1.ClusterRoleBinding) },
		"rbac.authorization.k8s.io/v1/Role":               func() any { return new(rbacv1.Role) },
		"rbac.authorization.k8s.io/v1/RoleBinding":        func() any { return new(rbacv1.RoleBinding) },
	}
	for _, name := range []string{server, emitter} {
		c := load(t, name)
		for ci, v := range ciFiles(t, name) {
			files, err := render(c, v, "flow", true)
			if err != nil {
				t.Fatal(err)
			}
			for file, text := range files {
				if file == "NOTES.txt" {
					continue
				}
				for _, doc := range strings.Split("\n"+text, "\n---") {
					var o object
					if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
						t.Fatal(err)
					}
					if o.Kind == "" || foreign[o.Kind] {
						continue
					}
					into, ok := types[o.APIVersion+"/"+o.Kind]
					if !ok {
						t.Errorf("%s/%s: no type for %s %s", name, ci, o.APIVersion, o.Kind)
						continue
					}
					if err := yaml.UnmarshalStrict([]byte(doc), into()); err != nil {
						t.Errorf("%s/%s: %s: %v", name, ci, file, err)
					}
				}
			}
		}
	}
}

func TestEmitter_RBACRulesBySettings(t *testing.T) {
	lease := watch.LeaseName("bootstrap", "primary")
	const (
		flux     = "get list watch of helm.toolkit.fluxcd.io: helmreleases; get list watch of source.toolkit.fluxcd.io: helmcharts helmrepositories ocirepositories gitrepositories buckets externalartifacts; get list watch of kustomize.toolkit.fluxcd.io: kustomizations; get list watch of source.extensions.fluxcd.io: artifactgenerators; get list watch of fluxcd.controlplane.io: resourcesets fluxinstances"
		identity = "get of : namespaces named kube-system"
	)
	const controllers = "list of coordination.k8s.io: leases"
	election := "create of coordination.k8s.io: leases; get update of coordination.k8s.io: leases named " + lease
	for _, tt := range []struct {
		set  string
		want map[string]string
	}{
		{"flowEmitter.namespaces=null", map[string]string{"ClusterRole//openova-flow-e-openova-flow-emitter": flux + "; " + identity, "Role/openova-flow/e-openova-flow-emitter-lease": election,
			"Role/flux-system/openova-flow-e-openova-flow-emitter-controllers": controllers}},
		{"flowEmitter.rbac.controllerLeases=false", map[string]string{"ClusterRole//openova-flow-e-openova-flow-emitter": flux + "; " + identity, "Role/openova-flow/e-openova-flow-emitter-lease": election}},
		{"flowEmitter.namespaces={apps}", map[string]string{
			"Role/apps/openova-flow-e-openova-flow-emitter-flux":            flux,
			"Role/kube-system/openova-flow-e-openova-flow-emitter-identity": identity,
			"Role/openova-flow/e-openova-flow-emitter-lease":                election,
		}},
		{"flowEmitter.namespaces={flux-system,apps}", map[string]string{
			"Role/flux-system/openova-flow-e-openova-flow-emitter-flux":        flux,
			"Role/flux-system/openova-flow-e-openova-flow-emitter-controllers": controllers,
			"Role/apps/openova-flow-e-openova-flow-emitter-flux":               flux,
			"Role/kube-system/openova-flow-e-openova-flow-emitter-identity":    identity,
			"Role/openova-flow/e-openova-flow-emitter-lease":                   election,
		}},
		{"flowEmitter.rbac.create=false", map[string]string{}},
	} {
		files, err := render(load(t, emitter), values(t, tt.set), "e", true)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		bindings := 0
		for _, o := range objects(t, files) {
			key := o.Kind + "/" + o.Metadata.Namespace + "/" + o.Metadata.Name
			switch {
			case strings.HasSuffix(o.Kind, "Binding"):
				bindings++
			case len(o.Rules) > 0:
				var rules []string
				for _, r := range o.Rules {
					text := words(r["verbs"]) + " of " + words(r["apiGroups"]) + ": " + words(r["resources"])
					if named := words(r["resourceNames"]); named != "" {
						text += " named " + named
					}
					rules = append(rules, text)
				}
				got[key] = strings.Join(rules, "; ")
			}
		}
		for key, rules := range tt.want {
			if got[key] != rules {
				t.Errorf("%s: %s may\n%s\nwant\n%s", tt.set, key, got[key], rules)
			}
		}
		if len(got) != len(tt.want) || bindings != len(tt.want) {
			t.Errorf("%s: %d roles and %d bindings, want %d: %v", tt.set, len(got), bindings, len(tt.want), got)
		}
	}
}

func words(v any) string {
	var out []string
	list, _ := v.([]any)
	for _, w := range list {
		out = append(out, w.(string))
	}
	return strings.Join(out, " ")
}

// environment returns the variables of a workload's first container that have a value. Paths of mounted credentials become file, and the folder of the state
// becomes file's folder.
func environment(t *testing.T, o object, file string) (env []string) {
	t.Helper()
	list, _ := at(o.Spec, "template.spec.containers.0.env").([]any)
	for _, e := range list {
		v, ok := at(e, "value").(string)
		if !ok {
			continue
		}
		if strings.HasPrefix(v, "/etc/openova-flow/") {
			v = file
		}
		v = strings.Replace(v, "/var/lib/openova-flow/", filepath.Dir(file)+"/", 1)
		env = append(env, at(e, "name").(string)+"="+v)
	}
	if len(env) < 8 {
		t.Fatal("no environment: ", env)
	}
	return env
}

// TestCharts_ProgramsAcceptRenderedSettings runs the servers' healthcheck, and the adapter, with the environment of each render.
func TestCharts_ProgramsAcceptRenderedSettings(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	modules := map[string]string{"openova-flow-server": "server", "openova-flow-server-jetstream": "server-jetstream", "openova-flow-adapter-flux": "adapter-flux"}
	binaries := map[string]string{}
	for _, tt := range []struct {
		chart   string
		args    []string
		extreme []string
		output  string
	}{
		// The programs accept the settings, and then fail: no server listens at the port, and the kubeconfig does not exist.
		{server, []string{"healthcheck", "--listen-addr=127.0.0.1:1"}, []string{
			"flowServer.settings.ringCapacity=1,flowServer.settings.ringBytes=1024,flowServer.settings.journalEntries=16,flowServer.settings.journalBytes=1024,flowServer.settings.maxMessageBytes=1024,flowServer.settings.maxBatchBytes=1024,flowServer.settings.maxIngestBytes=1048576,flowServer.settings.maxAnswerBytes=1048576,flowServer.settings.maxFlows=1,flowServer.settings.maxNodes=1,flowServer.settings.maxRelationships=1,flowServer.settings.maxMetaBytes=1,flowServer.settings.maxStateBytes=1048576,flowServer.settings.maxSubscribers=1,flowServer.settings.maxEmitters=1,flowServer.settings.maxRegions=1,flowServer.settings.idleTimeout=1m,flowServer.settings.writeTimeout=1s,flowServer.settings.readTimeout=1s,flowServer.settings.drainDelay=0s",
			"flowServer.settings.ringCapacity=1048576,flowServer.settings.ringBytes=1073741824,flowServer.settings.journalEntries=1048576,flowServer.settings.journalBytes=1073741824,flowServer.settings.maxMessageBytes=67108864,flowServer.settings.maxBatchBytes=1073741824,flowServer.settings.maxIngestBytes=1099511627776,flowServer.settings.maxAnswerBytes=1099511627776,flowServer.settings.maxFlows=1073741824,flowServer.settings.maxNodes=1073741824,flowServer.settings.maxRelationships=1073741824,flowServer.settings.maxMetaBytes=16777216,flowServer.settings.maxStateBytes=1125899906842624,flowServer.resources.limits.memory=2Pi,flowServer.settings.maxSubscribers=1073741824,flowServer.settings.maxEmitters=1073741824,flowServer.settings.maxRegions=1048576,flowServer.settings.idleTimeout=87600h,flowServer.settings.writeTimeout=1h,flowServer.settings.readTimeout=60m,flowServer.settings.drainDelay=5s",
		}, "not reachable"},
		{emitter, []string{"run", "--leader-election=false", "--kubeconfig=" + filepath.Join(dir, "none")}, []string{
			"flowEmitter.settings.emitInterval=1ms,flowEmitter.settings.postTimeout=10ms,flowEmitter.flowServerUrl=http://a,flowEmitter.flowId=-,flowEmitter.regionKey=a",
			"flowEmitter.settings.emitInterval=1m,flowEmitter.settings.postTimeout=10m,flowEmitter.flowServerUrl=https://a.b-c:65535/d/,flowEmitter.flowId=" + strings.Repeat(":", 128) + ",flowEmitter.regionKey=a-1",
		}, "KUBECONFIG is "},
	} {
		sets := ciFiles(t, tt.chart)
		for i, s := range tt.extreme {
			sets["extreme "+string(rune('0'+i))] = values(t, s)
		}
		for name, v := range sets {
			files, err := render(load(t, tt.chart), v, "flow", true)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range objects(t, files) {
				if o.Spec["template"] == nil || o.Metadata.Labels["app.kubernetes.io/component"] == "relay" { // the relay reads a file, see TestCharts_RelayAcceptsItsConfiguration
					continue
				}
				image, _, _ := strings.Cut(path.Base(at(o.Spec, "template.spec.containers.0.image").(string)), ":")
				if name == "everything" { // this render has a custom image
					image = map[string]string{server: "openova-flow-server", emitter: "openova-flow-adapter-flux"}[tt.chart]
				}
				if binaries[image] == "" {
					binaries[image] = compile(t, dir, modules[image], image)
				}
				cmd := exec.Command(binaries[image], tt.args...)
				cmd.Env = environment(t, o, file)
				out, err := cmd.CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), tt.output) {
					t.Errorf("%s with %s: %v\n%s", image, name, err, out)
				}
			}
		}
	}
}

func TestCharts_RelayAcceptsItsConfiguration(t *testing.T) {
	dir := t.TempDir()
	relay := compile(t, dir, "relay", "openova-flow-relay")
	for set, url := range map[string]string{
		"": "http://flow-openova-flow-server.openova-flow.svc.cluster.local:8080/",
		"flowServer.basePath=/flow/,flowServer.service.port=80":                            "http://flow-openova-flow-server.openova-flow.svc.cluster.local:80/flow/",
		"flowServer.tls.existingSecret=tls,flowRelay.serverURL=https://flow.example.com/x": "https://flow.example.com/x",
	} {
		files, err := render(load(t, server), chartutil.CoalesceTables(values(t, set), ciFiles(t, server)["relay"]), "flow", true)
		if err != nil {
			t.Fatal(err)
		}
		var text string
		for _, doc := range strings.Split(files["relay.yaml"], "\n---") {
			var o corev1.ConfigMap
			if err := yaml.Unmarshal([]byte(doc), &o); err == nil && o.Kind == "ConfigMap" {
				text = o.Data["relay.yaml"]
			}
		}
		file := filepath.Join(dir, "relay.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(relay, "check", "--config", file).CombinedOutput(); err != nil || !strings.Contains(text+"\n", "url: "+url+"\n") ||
			!strings.Contains(text, "tokenFile: /etc/openova-flow-relay/token/token\n") {
			t.Errorf("%q: %v\n%s\n%s", set, err, out, text)
		}
	}
}

func compile(t *testing.T, dir, module, program string) string {
	t.Helper()
	binary := filepath.Join(dir, program)
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/"+program)
	cmd.Dir = filepath.Join("../../products/openova-flow", module)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// TestCharts_HaveAllSettings finds settings of the servers that no render sets.
func TestCharts_HaveAllSettings(t *testing.T) {
	// The chart supports only credentials files and certificates for NATS.
	left := map[string]bool{"NATS_USER": true, "NATS_PASSWORD_FILE": true, "NATS_TOKEN_FILE": true}
	dir := t.TempDir()
	var env []string
	for _, v := range ciFiles(t, server) {
		files, err := render(load(t, server), v, "flow", true)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects(t, files) {
			list, _ := at(o.Spec, "template.spec.containers.0.env").([]any)
			for _, e := range list {
				env = append(env, at(e, "name").(string))
			}
		}
	}
	for program, module := range map[string]string{"openova-flow-server": "server", "openova-flow-server-jetstream": "server-jetstream"} {
		help, err := exec.Command(compile(t, dir, module, program), "help").CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		known := regexp.MustCompile(`\(((FLOW_SERVER|NATS)_[A-Z_]+)[,)]`).FindAllStringSubmatch(string(help), -1)
		if len(known) < 20 {
			t.Errorf("%s has only %v", program, known)
		}
		for _, setting := range known {
			if !slices.Contains(env, setting[1]) && !left[setting[1]] {
				t.Errorf("%s of %s is in no render: add a value to the chart, and use it in a file of ci", setting[1], program)
			}
		}
	}
}
