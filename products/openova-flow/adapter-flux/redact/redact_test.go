package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// planted is a secret with characters that the encodings change.
const planted = `hun&ter"2/+'é>>>>>`

// forms returns the encodings in which a text may contain a secret.
func forms(s string) map[string]string {
	quoted, _ := json.Marshal(s)
	return map[string]string{
		"plain": s, "JSON": strings.Trim(string(quoted), `"`), "query": url.QueryEscape(s), "path": url.PathEscape(s), "hex": hex.EncodeToString([]byte(s)),
		"Go": strings.Trim(strconv.Quote(s), `"`), "Go in ASCII": strings.Trim(strconv.QuoteToASCII(s), `"`), "YAML": strings.ReplaceAll(s, "'", "''"),
		"base64": base64.StdEncoding.EncodeToString([]byte(s)), "raw base64": base64.RawStdEncoding.EncodeToString([]byte(s)),
		"URL base64": base64.URLEncoding.EncodeToString([]byte(s)), "raw URL base64": base64.RawURLEncoding.EncodeToString([]byte(s)),
		"HTML": html.EscapeString(s),
	}
}

func TestForms_AllDiffer(t *testing.T) {
	seen := map[string]string{}
	for name, text := range forms(planted) {
		if other, ok := seen[text]; ok {
			t.Errorf("%s equals %s: %s", name, other, text)
		}
		seen[text] = name
	}
}

func read(t *testing.T, format string, args ...any) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(fmt.Appendf(nil, format, args...), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestObject_HasNoPlantedSecretInAnyForm(t *testing.T) {
	q := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	secret := q(planted)
	for name, spec := range map[string]string{
		"annotation":                     `"suspend":false`,
		"values":                         `"values":{"db":{"password":` + secret + `,"port":5432},"list":[` + secret + `,{"a":` + secret + `}]}`,
		"substitute":                     `"postBuild":{"substitute":{"PASSWORD":` + secret + `}}`,
		"patch":                          `"patches":[{"patch":` + q("- op: add\n  path: /data/x\n  value: "+planted+"\n") + `,"target":{"kind":"Secret"}}]`,
		"post renderer":                  `"postRenderers":[{"kustomize":{"patches":[{"patch":` + q("data:\n  key: "+planted) + `}]}}]`,
		"resources of a set":             `"resources":[{"kind":"Secret","stringData":{"x":` + secret + `}}],"inputs":[{"x":` + secret + `}]`,
		"patches of a FluxInstance":      `"kustomize":{"patches":[{"patch":` + q("value: "+planted) + `}]}`,
		"quoted in a patch":              `"patches":[{"patch":` + q("data:\n  key: \""+planted+"\"\n") + `}]`,
		"assigned in a script":           `"values":{"env":` + q("PASSWORD="+planted) + `}`,
		"annotations of created objects": `"commonMetadata":{"annotations":{"note":` + secret + `}}`,
		"annotations of a HelmChart":     `"chart":{"metadata":{"annotations":{"note":` + secret + `}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			note := `"x"`
			if name == "annotation" {
				note = secret
			}
			for form, text := range forms(planted) {
				u := read(t, `{"kind":"X","metadata":{"name":"app","namespace":"flux-system","annotations":{"note":%s}},"spec":{"interval":"1m",%s},
					"status":{"conditions":[{"type":"Ready","message":%s}],"history":[{"name":"app","url":%s,"description":%s}]}}`, note, spec, q("cannot take '"+text+"' for app"), q("https://x/"+text), q(text))
				before, _ := json.Marshal(u.Object)
				out, _ := json.Marshal(Object(u).Object)
				if now, _ := json.Marshal(u.Object); string(now) != string(before) {
					t.Error("the object itself was changed")
				}
				for as, s := range forms(planted) {
					if strings.Contains(string(out), s) {
						t.Errorf("given in %s, the output has the secret in %s: %s", form, as, out)
					}
				}
				for _, kept := range []string{`"name":"app"`, `"namespace":"flux-system"`, `"interval":"1m"`, `"cannot take '` + Mark + `' for app"`} {
					if !strings.Contains(string(out), kept) {
						t.Errorf("no %s in %s", kept, out)
					}
				}
			}
		})
	}
}

func TestObject_KeepsNamesShapeAndFluxAnnotations(t *testing.T) {
	u := read(t, `{"kind":"HelmRelease","metadata":{"name":"podinfo","annotations":{"reconcile.fluxcd.io/requestedAt":"now","other":"x"}},
		"spec":{"releaseName":"podinfo","values":{"name":"podinfo","port":5432,"on":true,"none":null,"deep":{"list":[1,"podinfo-text"]}}},
		"status":{"conditions":[{"type":"Ready","status":"True","message":"podinfo is installed, podinfo-text is not"}],"observedGeneration":3}}`)
	want := read(t, `{"kind":"HelmRelease","metadata":{"name":"podinfo","annotations":{"reconcile.fluxcd.io/requestedAt":"now","other":"REDACTED"}},
		"spec":{"releaseName":"podinfo","values":{"name":"REDACTED","port":"REDACTED","on":"REDACTED","none":"REDACTED","deep":{"list":["REDACTED","REDACTED"]}}},
		"status":{"conditions":[{"type":"Ready","status":"True","message":"podinfo is installed, REDACTED is not"}],"observedGeneration":3}}`)
	got, _ := json.Marshal(Object(u).Object)
	if w, _ := json.Marshal(want.Object); string(got) != string(w) {
		t.Errorf("got  %s\nwant %s", got, w)
	}
}

func TestObject_RemovesNumbersAndOverlappingValuesFromMessages(t *testing.T) {
	numbers := read(t, `{"spec":{"values":{"pin":987654321,"rate":1234567.5,"whole":7654321,"port":5432}},"status":{"conditions":[{"message":"987654321 and 1234567.5 are no strings, nor is 7654321 or 5432"}]}}`)
	numbers.Object["spec"].(map[string]any)["values"].(map[string]any)["whole"] = int64(7654321) // the type that the Kubernetes client decodes
	got, _ := json.Marshal(Object(numbers).Object["status"])
	if w := `{"conditions":[{"message":"REDACTED and REDACTED are no strings, nor is REDACTED or 5432"}]}`; string(got) != w {
		t.Errorf("got %s", got)
	}
	overlapping := read(t, `{"spec":{"values":{"short":"hunter22","long":"hunter22-and-more","lines":"first line\nsecond line\n"}},"status":{"conditions":[{"message":"hunter22-and-more, hunter22, %s"}]}}`,
		base64.StdEncoding.EncodeToString([]byte("first line\nsecond line\n")))
	got, _ = json.Marshal(Object(overlapping).Object["status"])
	if w := `{"conditions":[{"message":"REDACTED, REDACTED, REDACTED"}]}`; string(got) != w {
		t.Errorf("got %s", got)
	}
}

func TestObject_AcceptsMissingAndMalformedFields(t *testing.T) {
	Object(&unstructured.Unstructured{Object: map[string]any{}})
	Object(read(t, `{"spec":[],"metadata":1}`))
}

func TestText_RemovesSecretsOnly(t *testing.T) {
	const s = "s3cr3t-Value"
	for _, with := range []string{
		"failed to fetch https://user:" + s + "@example.com/charts", "ssh://" + s + "@git.example.com/x", "oci://u:" + s + "@r/x: 401",
		"GET https://x/y?token=" + s + "&a=b: 403", "https://x/?X-Amz-Signature=" + s, "https://blob/?sv=1&sig=" + s,
		"Authorization: Bearer " + s + "x", "authorization: basic " + s, "password=" + s, "password: " + s + ", user: x", `{"password": "` + s + `"}`,
		`{\"password\":\"` + s + `\"}`, "DB_PASSWORD=" + s, "password: 'with spaces " + s + "'", `"password": "with spaces ` + s + `"`, "client_secret=" + s, "apiKey: '" + s + "'", `{"token":"` + s + `"}`,
		"-----BEGIN RSA PRIVATE KEY-----\n" + s + "\n-----END RSA PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n" + s,
	} {
		if got := Text("before " + with); strings.Contains(got, s) || !strings.Contains(got, Mark) || !strings.HasPrefix(got, "before ") {
			t.Errorf("%q became %q", with, got)
		}
	}
	for _, with := range []string{"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_", "AKIAIOSFODNN7EXAMPLE", "ghp_0123456789abcdefghijABCDEFGHIJ", "github_pat_0123456789ABCDEFabcdef_x", "glpat-0123456789abcdefghij", "ofl_0123456789abcdefghijABCDEFGHIJ-_0123456789a", "hvs.0123456789abcdefghij", "npm_0123456789abcdefghij", "dckr_pat_0123456789abcdefghij", "sk_live_0123456789abcdefghij", "AIza0123456789abcdefghij", "AGE-SECRET-KEY-1ABCDEFGHIJKLMNOPQRST", "xoxb-0123456789-abc"} {
		if got := Text("is " + with + " valid"); got != "is "+Mark+" valid" {
			t.Errorf("%q became %q", with, got)
		}
	}
	for _, without := range []string{
		"", "Helm install succeeded for release flux-system/keycloak.v1 with chart keycloak@1.2.3", `could not get KubeConfig secret 'lab/nope': secrets "nope" not found`,
		"dependency 'infra/cert-manager' is not ready", "failed to fetch https://example.com/charts/index.yaml: 404", "ssh://git@git.example/fleet", "mail a@b.example, see https://x/y", "token expired", "secret: not found",
		"oci://ghcr.io/stefanprodan/charts/podinfo@sha256:0123", "basic auth", "timeout waiting for: [Deployment/apps/token status: 'InProgress']",
	} {
		if got := Text(without); got != without {
			t.Errorf("%q became %q", without, got)
		}
	}
}

func BenchmarkText(b *testing.B) {
	for b.Loop() {
		Text("Helm install failed for release flux-system/keycloak with chart keycloak@1.2.3: context deadline exceeded, see https://example.com/x")
	}
}
