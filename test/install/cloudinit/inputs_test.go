package cloudinit

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// validationRule finds the line of the failed rule in the output of Terraform or OpenTofu.
var validationRule = regexp.MustCompile(`infra/hetzner/variables\.tf:(\d+),`)

// failedVariable returns the variable whose validation rule failed, empty if none did.
func failedVariable(t *testing.T, output string) (name string) {
	m := validationRule.FindStringSubmatch(output)
	if m == nil {
		return ""
	}
	rule, _ := strconv.Atoi(m[1])
	source, err := os.ReadFile(filepath.Join(absolute(t, "infra/hetzner"), "variables.tf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(source), "\n")[:rule] {
		if declared, ok := strings.CutPrefix(line, `variable "`); ok {
			name, _, _ = strings.Cut(declared, `"`)
		}
	}
	return name
}

func TestInputs_InvalidOnesAreRejected(t *testing.T) {
	w := newWorkspace(t)
	token, other := strings.Repeat("t", 32), strings.Repeat("u", 32)
	long := func(n int) string { return strings.Repeat("a", n) }
	many := make([]string, 250)
	for i := range many {
		many[i] = fmt.Sprintf("region-%d", i)
	}
	for _, tt := range []struct {
		name string
		in   inputs
		want string // the invalid variable, or the output that fails; empty: accepted
	}{
		{"nothing wrong", inputs{}, ""},
		{"fqdn of one label", inputs{"sovereign_fqdn": "localhost"}, "sovereign_fqdn"},
		{"fqdn in upper case", inputs{"sovereign_fqdn": "Example.com"}, "sovereign_fqdn"},
		{"fqdn with a scheme", inputs{"sovereign_fqdn": "https://example.com"}, "sovereign_fqdn"},
		{"fqdn that ends in a dot", inputs{"sovereign_fqdn": "example.com."}, "sovereign_fqdn"},
		{"fqdn of two lines", inputs{"sovereign_fqdn": "example.com\nx: y"}, "sovereign_fqdn"},
		{"fqdn that ends in a newline", inputs{"sovereign_fqdn": "example.com\n"}, "sovereign_fqdn"},
		{"label of 64", inputs{"sovereign_fqdn": long(64) + ".com"}, "sovereign_fqdn"},
		{"label of 63", inputs{"sovereign_fqdn": long(63) + ".com"}, ""},
		{"address", inputs{"sovereign_fqdn": "10.0.0.1"}, "sovereign_fqdn"},
		{"no deployment", inputs{"deployment_id": ""}, "deployment_id"},
		{"deployment of dots", inputs{"deployment_id": ".."}, "deployment_id"},
		{"deployment with a slash", inputs{"deployment_id": "prod/eu"}, "deployment_id"},
		{"deployment that is a pattern", inputs{"deployment_id": "prod-*"}, "deployment_id"},
		{"deployment of 129", inputs{"deployment_id": long(129)}, "deployment_id"},
		{"deployment of 128", inputs{"deployment_id": long(128)}, ""},
		{"no region", inputs{"regions": []string{}}, "regions"},
		{"region in upper case", inputs{"regions": []string{"fsn1", "HEL1"}}, "regions"},
		{"region that ends in a hyphen", inputs{"regions": []string{"fsn1", "hel-"}}, "regions"},
		{"region with a slash", inputs{"regions": []string{"fsn1", "hel/1"}}, "regions"},
		{"region of 64", inputs{"regions": []string{"fsn1", long(64)}}, "regions"},
		{"region of 63", inputs{"regions": []string{"fsn1", long(63)}}, ""},
		{"region twice", inputs{"regions": []string{"fsn1", "hel1", "fsn1"}}, "regions"},
		{"primary elsewhere", inputs{"primary_region": "nbg1"}, "primary_region"},
		{"channel of k3s", inputs{"k3s_version": "stable"}, "k3s_version"},
		{"version of Kubernetes", inputs{"k3s_version": "v1.33.5"}, "k3s_version"},
		{"no checksum", inputs{"k3s_sha256": map[string]string{}}, "k3s_sha256"},
		{"short checksum", inputs{"k3s_sha256": map[string]string{"arm64": long(63)}}, "k3s_sha256"},
		{"checksum in upper case", inputs{"k3s_sha256": map[string]string{"amd64": strings.Repeat("A", 64)}}, "k3s_sha256"},
		{"kit without encryption", inputs{"kit_url": "http://example.com/kit"}, "kit_url"},
		{"kit with a password", inputs{"kit_url": "https://me:pw@example.com/kit"}, "kit_url"},
		{"no branch", inputs{"kit_branch": ""}, "kit_branch"},
		{"tag with a space", inputs{"kit_tag": "v1 x"}, "kit_tag"},
		{"token of no region", inputs{"ingest_tokens": map[string]string{"nbg1": token}}, "ingest_tokens"},
		{"short token", inputs{"ingest_tokens": map[string]string{"hel1": token[1:]}}, "ingest_tokens"},
		{"token that ends in a newline", inputs{"ingest_tokens": map[string]string{"hel1": token + "\n"}}, "ingest_tokens"},
		{"one token for two", inputs{"ingest_tokens": map[string]string{"hel1": token, "fsn1": token}}, "ingest_tokens"},
		{"short token for people", inputs{"operator_token": "secret"}, "operator_token"},
		{"emitter's token for people", inputs{"operator_token": token, "ingest_tokens": map[string]string{"hel1": token}}, "operator_token"},
		{"tokens given", inputs{"operator_token": other, "ingest_tokens": map[string]string{"hel1": token}}, ""},
		{"user data above a machine's limit", inputs{"regions": many, "primary_region": many[0], "operator_token": other}, "user_data"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.configure(t, deployment().with(tt.in))
			action := []string{"plan", "-input=false", "-no-color"}
			if tt.want == "user_data" {
				action = append([]string{"apply", "-auto-approve"}, action[1:]...) // a plan does not know the generated tokens, and so not the size
			}
			out, err := w.run(t, action...)
			if (tt.want == "") != (err == nil) || tt.want == "user_data" && !strings.Contains(out, `in output "user_data"`) || tt.want != "user_data" && failedVariable(t, out) != tt.want {
				t.Errorf("want %q, got %v\n%s", tt.want, err, out)
			}
			if strings.Contains(out, token) || strings.Contains(out, other) {
				t.Error("a token is printed")
			}
		})
	}
}
