package cloudinit

import (
	"fmt"
	"strings"
	"testing"
)

func TestInputsAreRefusedWithASentence(t *testing.T) {
	w := newWorkspace(t)
	token, other := strings.Repeat("t", 32), strings.Repeat("u", 32)
	long := func(n int) string { return strings.Repeat("a", n) }
	many := make([]string, 250)
	for i := range many {
		many[i] = fmt.Sprintf("region-%d", i)
	}
	const (
		fqdn    = "sovereign_fqdn has to be a domain in lower case with a dot in it"
		flow    = "deployment_id has to be 1 to 128 characters"
		key     = "regions: a region key has at most 63 lower-case letters"
		version = "k3s_version has to be one release in full"
		sum     = "k3s_sha256: a checksum is 64 hexadecimal digits"
		url     = "kit_url has to be an https URL"
		ingest  = "ingest_tokens: a token has 32 to 256 characters"
	)
	for _, tt := range []struct {
		name string
		in   inputs
		want string // empty: it is taken
	}{
		{"nothing wrong", inputs{}, ""},
		{"fqdn of one label", inputs{"sovereign_fqdn": "localhost"}, fqdn},
		{"fqdn in upper case", inputs{"sovereign_fqdn": "Example.com"}, fqdn},
		{"fqdn with a scheme", inputs{"sovereign_fqdn": "https://example.com"}, fqdn},
		{"fqdn that ends in a dot", inputs{"sovereign_fqdn": "example.com."}, fqdn},
		{"fqdn that goes on in another line", inputs{"sovereign_fqdn": "example.com\nx: y"}, fqdn},
		{"fqdn that ends in a line", inputs{"sovereign_fqdn": "example.com\n"}, fqdn},
		{"label of 64", inputs{"sovereign_fqdn": long(64) + ".com"}, fqdn},
		{"label of 63", inputs{"sovereign_fqdn": long(63) + ".com"}, ""},
		{"address", inputs{"sovereign_fqdn": "10.0.0.1"}, fqdn},
		{"no deployment", inputs{"deployment_id": ""}, flow},
		{"deployment of dots", inputs{"deployment_id": ".."}, flow},
		{"deployment with a slash", inputs{"deployment_id": "prod/eu"}, flow},
		{"deployment that is a pattern", inputs{"deployment_id": "prod-*"}, flow},
		{"deployment of 129", inputs{"deployment_id": long(129)}, flow},
		{"deployment of 128", inputs{"deployment_id": long(128)}, ""},
		{"no region", inputs{"regions": []string{}}, "regions has to name at least one region"},
		{"region in upper case", inputs{"regions": []string{"fsn1", "HEL1"}}, key},
		{"region that ends in a hyphen", inputs{"regions": []string{"fsn1", "hel-"}}, key},
		{"region with a slash", inputs{"regions": []string{"fsn1", "hel/1"}}, key},
		{"region of 64", inputs{"regions": []string{"fsn1", long(64)}}, key},
		{"region of 63", inputs{"regions": []string{"fsn1", long(63)}}, ""},
		{"region twice", inputs{"regions": []string{"fsn1", "hel1", "fsn1"}}, "regions names a region twice"},
		{"primary elsewhere", inputs{"primary_region": "nbg1"}, "primary_region has to be one of regions"},
		{"channel of k3s", inputs{"k3s_version": "stable"}, version},
		{"version of Kubernetes", inputs{"k3s_version": "v1.33.5"}, version},
		{"no checksum", inputs{"k3s_sha256": map[string]string{}}, "k3s_sha256 has to have amd64, arm64 or both"},
		{"short checksum", inputs{"k3s_sha256": map[string]string{"arm64": long(63)}}, sum},
		{"checksum in upper case", inputs{"k3s_sha256": map[string]string{"amd64": strings.Repeat("A", 64)}}, sum},
		{"kit without encryption", inputs{"kit_url": "http://example.com/kit"}, url},
		{"kit with a password", inputs{"kit_url": "https://me:pw@example.com/kit"}, url},
		{"no branch", inputs{"kit_branch": ""}, "kit_branch has to be the name of a branch"},
		{"tag with a space", inputs{"kit_tag": "v1 x"}, "kit_tag has to be the name of a tag, or null"},
		{"token of no region", inputs{"ingest_tokens": map[string]string{"nbg1": token}}, "ingest_tokens has a token for a region that regions does not name"},
		{"short token", inputs{"ingest_tokens": map[string]string{"hel1": token[1:]}}, ingest},
		{"token with a line", inputs{"ingest_tokens": map[string]string{"hel1": token + "\n"}}, ingest},
		{"one token for two", inputs{"ingest_tokens": map[string]string{"hel1": token, "fsn1": token}}, "ingest_tokens has one token for two regions"},
		{"short token for people", inputs{"operator_token": "secret"}, "operator_token has to have 32 to 256 characters"},
		{"emitter's token for people", inputs{"operator_token": token, "ingest_tokens": map[string]string{"hel1": token}}, "operator_token is the token of an emitter too"},
		{"tokens given", inputs{"operator_token": other, "ingest_tokens": map[string]string{"hel1": token}}, ""},
		{"more than a machine takes", inputs{"regions": many, "primary_region": many[0], "operator_token": other}, "user_data is larger than the 32 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.configure(t, deployment().with(tt.in))
			action := []string{"plan", "-input=false", "-no-color"}
			if strings.Contains(tt.want, "user_data") {
				action = append([]string{"apply", "-auto-approve"}, action[1:]...) // how large it is shows when tokens are there
			}
			out, err := w.run(t, action...)
			got := strings.Join(strings.Fields(out), " ")
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(got, tt.want)) {
				t.Errorf("want %q, got %v\n%s", tt.want, err, out)
			}
			if strings.Contains(out, token) || strings.Contains(out, other) {
				t.Error("a token is printed")
			}
		})
	}
}
