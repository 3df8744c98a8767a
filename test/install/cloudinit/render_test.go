package cloudinit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/openova-io/openova/test/install/kit"
)

func TestUserData_CloudInitAcceptsIt(t *testing.T) {
	out, _ := newWorkspace(t).apply(t, deployment())
	check := func(text string) (string, error) {
		file := filepath.Join(t.TempDir(), "user-data")
		write(t, file, text)
		answer, err := exec.Command(tool(t, "cloud-init"), "schema", "--config-file", file).CombinedOutput()
		return string(answer), err
	}
	for region, text := range out.UserData {
		if !strings.HasPrefix(text, "#cloud-config\n") {
			t.Error(region, " is not recognized as a cloud-config")
		}
		if answer, err := check(text); err != nil {
			t.Errorf("%s: %v\n%s", region, err, answer)
		}
	}
	broken := strings.Replace(out.UserData["fsn1"], "permissions: \"0600\"", "permissions: 384", 1)
	if answer, err := check(broken); err == nil || !strings.Contains(answer, "write_files.0.permissions") {
		t.Errorf("cloud-init accepts an invalid file: %v\n%s", err, answer)
	}
}

// TestKit_ValuesOfADeployment builds a machine's kit with kustomize and Flux's substitution, and checks the releases' values.
func TestKit_ValuesOfADeployment(t *testing.T) {
	const service = "http://openova-flow-server.openova-flow.svc.cluster.local:8080"
	w := newWorkspace(t)
	for _, tt := range []struct {
		fqdn, id           string
		primary, secondary string
	}{
		{"example.com", "4711", "fsn1", "hel1"},
		{"eu-1.prod.example.org", "12e5", "1e5", "0"},
		{"example.com", "prod.eu:1_A-b", "true", "null"},
		{"example.com", "0x10", "a", strings.Repeat("b", 63)},
	} {
		out, _ := w.apply(t, deployment().with(inputs{"sovereign_fqdn": tt.fqdn, "deployment_id": tt.id,
			"regions": []string{tt.secondary, tt.primary}, "primary_region": tt.primary}))
		if len(out.UserData) != 2 {
			t.Fatal(len(out.UserData), " regions")
		}
		for region, url := range map[string]string{tt.primary: service, tt.secondary: "https://openova-flow." + tt.fqdn} {
			t.Run(tt.id+" in "+region, func(t *testing.T) {
				manifests := parse(t, out.UserData[region]).manifests(t)
				built, variables := buildKit(t, manifests)
				if want := map[string]string{"SOVEREIGN_FQDN": tt.fqdn, "SOVEREIGN_DEPLOYMENT_ID": tt.id, "REGION_KEY": region, "FLOW_SERVER_URL": url}; !reflect.DeepEqual(variables, want) {
					t.Errorf("got  %v\nwant %v", variables, want)
				}
				emitter := at(built["HelmRelease/bp-openova-flow-emitter"], "spec", "values", "flowEmitter")
				for name, want := range map[string]any{"flowId": tt.id, "regionKey": region, "flowServerUrl": url} {
					if got := at(emitter, name); got != want {
						t.Errorf("%s is %#v, want %#v", name, got, want)
					}
				}
				server := built["HelmRelease/bp-openova-flow-server"]
				if (server != nil) != (region == tt.primary) {
					t.Errorf("a server: %v", server != nil)
				}
				if server != nil {
					if got := at(server, "spec", "values", "flowServer", "httpRoute", "hostname"); got != "openova-flow."+tt.fqdn {
						t.Errorf("the server's host is %v", got)
					}
				}
				// The kit's default is the same server.
				delete(variables, "FLOW_SERVER_URL")
				if again, _ := kit.Build(kitFolder(manifests), variables, true); !reflect.DeepEqual(again, built) {
					t.Error("the kit's default is another server")
				}
			})
		}
	}
}

func kitFolder(manifests map[string]map[string]any) string {
	path, _ := at(manifests["Kustomization/bootstrap-kit"], "spec", "path").(string)
	return filepath.Join(repository, path)
}

// buildKit returns the kit as Flux applies it, and the substituted variables.
func buildKit(t *testing.T, manifests map[string]map[string]any) (map[string]map[string]any, map[string]string) {
	t.Helper()
	variables := map[string]string{}
	substitute, _ := at(manifests["Kustomization/bootstrap-kit"], "spec", "postBuild", "substitute").(map[string]any)
	for name, value := range substitute {
		text, ok := value.(string)
		if !ok {
			t.Errorf("%s is %#v, which is not a string for Flux", name, value)
		}
		variables[name] = text
	}
	built, err := kit.Build(kitFolder(manifests), variables, true)
	if err != nil {
		t.Fatal(err)
	}
	return built, variables
}

func TestUserData_HasTheManifestsOfItsRegion(t *testing.T) {
	out, _ := newWorkspace(t).apply(t, deployment().with(inputs{"kit_url": "https://git.example.com/kit.git", "kit_tag": "v1.2.3"}))
	common := []string{"GitRepository/flux-system", "HelmChart/cilium", "HelmChart/flux", "Kustomization/bootstrap-kit", "Namespace/openova-flow", "Secret/openova-flow-ingest-token"}
	for region, want := range map[string][]string{"fsn1": append(slices.Clone(common), "Secret/openova-flow-tokens"), "hel1": common} {
		manifests := parse(t, out.UserData[region]).manifests(t)
		var got []string
		for name := range manifests {
			got = append(got, name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s has %v", region, got)
		}
		source := manifests["GitRepository/flux-system"]
		if at(source, "spec", "url") != "https://git.example.com/kit.git" || !reflect.DeepEqual(at(source, "spec", "ref"), map[string]any{"tag": "v1.2.3"}) {
			t.Errorf("the kit comes from %v", at(source, "spec"))
		}
		for name, o := range objects(t, out.Secrets[region]) {
			if !reflect.DeepEqual(o, manifests[name]) {
				t.Errorf("%s: the output secrets has a different %s", region, name)
			}
		}
	}
	followed, _ := newWorkspace(t).apply(t, deployment())
	if ref := at(parse(t, followed.UserData["hel1"]).manifests(t)["GitRepository/flux-system"], "spec", "ref"); !reflect.DeepEqual(ref, map[string]any{"branch": "main"}) {
		t.Errorf("without a tag, the ref is %v", ref)
	}
}

// TestUserData_ReleasesEqualTheKits compares the preinstalled releases with the kit's. If they differed, Flux would install them again, or change the network
// of a starting cluster.
func TestUserData_ReleasesEqualTheKits(t *testing.T) {
	out, _ := newWorkspace(t).apply(t, deployment())
	for region, userData := range out.UserData {
		c := parse(t, userData)
		manifests := c.manifests(t)
		built, _ := buildKit(t, manifests)
		for release, bootstrap := range map[string]bool{"cilium": true, "flux": false} {
			chart, slot := manifests["HelmChart/"+release], built["HelmRelease/bp-"+release]
			spec := func(path ...string) any { return at(slot, append([]string{"spec"}, path...)...) }
			for what, pair := range map[string][2]any{
				"name":      {at(chart, "metadata", "name"), spec("releaseName")},
				"namespace": {at(chart, "spec", "targetNamespace"), spec("targetNamespace")},
				"storage":   {at(chart, "spec", "targetNamespace"), spec("storageNamespace")},
				"chart":     {at(chart, "spec", "chart"), spec("chart", "spec", "chart")},
				"version":   {at(chart, "spec", "version"), spec("chart", "spec", "version")},
				"repo":      {at(chart, "spec", "repo"), at(built["HelmRepository/bp-"+release], "spec", "url")},
				"bootstrap": {at(chart, "spec", "bootstrap"), bootstrap},
				"values":    {values(t, chart), spec("values")},
			} {
				if !reflect.DeepEqual(pair[0], pair[1]) {
					t.Errorf("%s: %s of %s is %v, and Flux's %v", region, what, release, pair[0], pair[1])
				}
			}
		}
		// A second network or proxy on a machine would break the first.
		var k3s map[string]any
		if err := yaml.UnmarshalStrict([]byte(c.file(t, "/etc/rancher/k3s/config.yaml")), &k3s); err != nil {
			t.Fatal(err)
		}
		if at(values(t, manifests["HelmChart/cilium"]), "kubeProxyReplacement") != k3s["disable-kube-proxy"] || k3s["flannel-backend"] != "none" || k3s["disable-network-policy"] != true {
			t.Errorf("%s: k3s is %v", region, k3s)
		}
	}
}

func values(t *testing.T, chart map[string]any) (out any) {
	t.Helper()
	text, _ := at(chart, "spec", "valuesContent").(string)
	if err := yaml.UnmarshalStrict([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

type tokensFile struct {
	Tokens []struct {
		Name    string   `json:"name"`
		SHA256  string   `json:"sha256"`
		Scopes  []string `json:"scopes"`
		Flows   []string `json:"flows"`
		Regions []string `json:"regions"`
	} `json:"tokens"`
}

// credentials returns the tokens of a deployment's emitters, and the server's tokens file. The kit's releases name the Secrets, and the charts' defaults the keys
// in them.
func credentials(t *testing.T, out outputs, primary string) (ingest map[string]string, file string) {
	t.Helper()
	ingest = map[string]string{}
	for region, userData := range out.UserData {
		manifests := parse(t, userData).manifests(t)
		built, _ := buildKit(t, manifests)
		read := func(release, values, section string) string {
			secret, _ := at(built["HelmRelease/bp-"+release], "spec", "values", values, section, "existingSecret").(string)
			text, err := os.ReadFile(filepath.Join(repository, "platform", release, "chart/values.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			var defaults map[string]any
			if err := yaml.Unmarshal(text, &defaults); err != nil {
				t.Fatal(err)
			}
			o := manifests["Secret/"+secret]
			if namespace := at(built["HelmRelease/bp-"+release], "spec", "targetNamespace"); at(o, "metadata", "namespace") != namespace {
				t.Errorf("%s looks for the Secret %q in %v", release, secret, namespace)
			}
			value, _ := at(o, "stringData", at(defaults, values, section, "key").(string)).(string)
			return value
		}
		ingest[region] = read("openova-flow-emitter", "flowEmitter", "token")
		if region == primary {
			file = read("openova-flow-server", "flowServer", "tokens")
		}
	}
	return ingest, file
}

func TestTokens_GeneratedOnceForEachOwner(t *testing.T) {
	w := newWorkspace(t)
	out, printed := w.apply(t, deployment())
	ingest, text := credentials(t, out, "fsn1")
	var file tokensFile
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	var want tokensFile
	wanted := `{"tokens": [
		{"name": "emitter-fsn1", "sha256": "` + sum(ingest["fsn1"]) + `", "scopes": ["read", "ingest"], "flows": ["4711"], "regions": ["fsn1"]},
		{"name": "emitter-hel1", "sha256": "` + sum(ingest["hel1"]) + `", "scopes": ["read", "ingest"], "flows": ["4711"], "regions": ["hel1"]},
		{"name": "operator", "sha256": "` + sum(out.Operator) + `", "scopes": ["admin"], "flows": ["*"]}]}`
	if err := json.Unmarshal([]byte(wanted), &want); err != nil || !reflect.DeepEqual(file, want) {
		t.Errorf("got %s\nwant %s", text, wanted)
	}
	all := map[string]string{"fsn1": ingest["fsn1"], "hel1": ingest["hel1"], "": out.Operator}
	for owner, token := range all {
		if len(token) != len("ofl_")+43 || !strings.HasPrefix(token, "ofl_") || strings.Trim(token[4:], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
			t.Errorf("a token of %d characters", len(token))
		}
		if strings.Contains(printed, token) || strings.Contains(printed, sum(token)) {
			t.Error("a token is printed")
		}
		for region, userData := range out.UserData {
			if owner != region && strings.Contains(userData, token) {
				t.Errorf("the machine of %s has a token for %q", region, owner)
			}
			if region != "fsn1" && strings.Contains(userData, sum(token)) {
				t.Errorf("the machine of %s has a hash for %q", region, owner)
			}
		}
	}
	if ingest["fsn1"] == ingest["hel1"] || ingest["fsn1"] == out.Operator {
		t.Error("two tokens are equal")
	}

	// A second apply changes nothing, and a new region does not change other regions' tokens.
	if same, _ := w.apply(t, deployment()); !reflect.DeepEqual(same, out) {
		t.Error("a second apply changes something")
	}
	more, _ := w.apply(t, deployment().with(inputs{"regions": []string{"ash", "hel1", "fsn1"}}))
	if now, _ := credentials(t, more, "fsn1"); now["fsn1"] != ingest["fsn1"] || now["hel1"] != ingest["hel1"] || now["ash"] == "" || more.Operator != out.Operator {
		t.Error("a new region changes other tokens")
	}

	// Replace one as described in the README.
	w.configure(t, deployment())
	if text, err := w.run(t, "apply", "-auto-approve", "-input=false", "-no-color", `-replace=module.deployment.random_bytes.ingest["hel1"]`); err != nil || strings.Contains(text, ingest["hel1"]) {
		t.Fatalf("%v\n%s", err, text)
	}
	rotated, _ := w.apply(t, deployment())
	if now, file := credentials(t, rotated, "fsn1"); now["fsn1"] != ingest["fsn1"] || now["hel1"] == ingest["hel1"] || !strings.Contains(file, sum(now["hel1"])) || strings.Contains(file, sum(ingest["hel1"])) {
		t.Error("want only hel1's token changed")
	}
}

func TestTokens_GivenOnesAreUsed(t *testing.T) {
	given, people := strings.Repeat("g", 40), strings.Repeat("p", 40)
	w := newWorkspace(t)
	out, printed := w.apply(t, deployment().with(inputs{"ingest_tokens": map[string]string{"hel1": given}, "operator_token": people}))
	ingest, file := credentials(t, out, "fsn1")
	if ingest["hel1"] != given || out.Operator != people || !strings.HasPrefix(ingest["fsn1"], "ofl_") {
		t.Error("the given tokens are not used")
	}
	for _, token := range []string{given, people} {
		if !strings.Contains(file, sum(token)) {
			t.Error("the tokens file lacks a given token")
		}
		if strings.Contains(printed, token) {
			t.Error("a token is printed")
		}
	}
	if made, err := w.run(t, "state", "list"); err != nil || strings.Count(made, "random_bytes") != 1 {
		t.Errorf("%v, generated:\n%s", err, made)
	}
}

func sum(token string) string {
	s := sha256.Sum256([]byte(token))
	return hex.EncodeToString(s[:])
}
