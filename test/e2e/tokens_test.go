package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server/auth"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/test/e2e/plane"
)

const emitterSubject = "system:serviceaccount:flux-system:openova-flow-emitter"

// TestTrust_DistinguishesTokensOfTwoClusters uses tokens from two real API servers. Both have the same issuer, and service accounts with the
// same names.
func TestTrust_DistinguishesTokensOfTwoClusters(t *testing.T) {
	ctx := t.Context()
	tokens, foreign := map[string]string{}, map[string]map[string]string{}
	for name, p := range planes {
		tokens[name] = mint(t, p, "flux-system", "openova-flow-emitter", "openova-flow")
		_, err := p.Admin().Do(ctx, http.MethodPost, plane.Path("ServiceAccount", "team-a", ""), plane.JSON,
			plane.Object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": plane.Object{"name": "openova-flow-emitter"}})
		if err != nil && !plane.IsCode(err, http.StatusConflict) {
			t.Fatal(err)
		}
		foreign[name] = map[string]string{
			"audience": mint(t, p, "flux-system", "openova-flow-emitter"), // the API server's own audience
			"subject":  mint(t, p, "team-a", "openova-flow-emitter", "openova-flow"),
		}
		if _, err := p.As(foreign[name]["audience"]).Text(ctx, "/version"); err != nil {
			t.Fatalf("the API server rejects its own token: %v", err)
		}
		discoverable(t, p)
	}
	if a, b := claimsOf(t, tokens["fsn1"]), claimsOf(t, tokens["hel1"]); a["iss"] != b["iss"] || a["sub"] != b["sub"] || fmt.Sprint(a["aud"]) != fmt.Sprint(b["aud"]) {
		t.Fatalf("issuer or subject differ between the clusters, so this test proves nothing: %v and %v", a, b)
	}
	for _, by := range []string{"jwksFile", "jwksURL"} {
		scenario(t, "tokens of two clusters, keys by "+by, func(t *testing.T) string {
			a := trusting(t, by, "fsn1", "hel1")
			for _, name := range regionNames {
				g, err := a.Check(ctx, auth.Bearer(tokens[name]))
				if err != nil {
					t.Fatalf("the token of %s is denied: %v", name, err)
				}
				if g.Name() != "cluster-"+name {
					t.Errorf("the token of %s belongs to %s", name, g.Name())
				}
				for _, region := range regionNames {
					n := flow.Node{ID: region + "/x", FlowID: flowID, Label: "x", Status: "failed", Region: region}
					if err := g.CheckWrite(flowID, []*flow.Message{flow.UpsertNodes(n)}); (err == nil) != (region == name) {
						t.Errorf("%s writes to %s: %v", name, region, err)
					}
				}
				for claim, token := range foreign[name] {
					checkDenied(t, a, name+", another "+claim, token, auth.Reason(claim))
				}
				forged(t, a, name, tokens[name])
			}
			return ""
		})
		scenario(t, "one of two clusters is trusted, keys by "+by, func(t *testing.T) string {
			for _, name := range regionNames {
				a := trusting(t, by, name)
				if _, err := a.Check(ctx, auth.Bearer(tokens[name])); err != nil {
					t.Errorf("the token of %s is denied: %v", name, err)
				}
				for other, token := range tokens {
					if other != name {
						checkDenied(t, a, other+" where only "+name+" is trusted", token, auth.Key)
					}
				}
			}
			return ""
		})
	}
}

// mint returns a token for a service account from a cluster. Without audiences, it is for the API server itself.
func mint(t *testing.T, p *plane.Plane, namespace, account string, audiences ...string) string {
	t.Helper()
	answer, err := p.Admin().Do(t.Context(), http.MethodPost, plane.Path("ServiceAccount", namespace, account)+"/token", plane.JSON,
		plane.Object{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": plane.Object{"expirationSeconds": 3600, "audiences": audiences}})
	if err != nil {
		t.Fatal(err)
	}
	status, _ := answer["status"].(plane.Object)
	token, _ := status["token"].(string)
	return token
}

// discoverable allows unauthenticated reads of the cluster's public keys.
func discoverable(t *testing.T, p *plane.Plane) {
	t.Helper()
	const group = "rbac.authorization.k8s.io"
	_, err := p.Admin().Do(t.Context(), http.MethodPost, plane.Path("ClusterRoleBinding", "", ""), plane.JSON, plane.Object{
		"apiVersion": group + "/v1", "kind": "ClusterRoleBinding", "metadata": plane.Object{"name": "keys-for-all"},
		"roleRef":  plane.Object{"apiGroup": group, "kind": "ClusterRole", "name": "system:service-account-issuer-discovery"},
		"subjects": []plane.Object{{"apiGroup": group, "kind": "Group", "name": "system:unauthenticated"}}})
	if err != nil && !plane.IsCode(err, http.StatusConflict) {
		t.Fatal(err)
	}
	err = plane.Wait(t.Context(), soon, func() error {
		_, err := p.As("").Text(t.Context(), "/openid/v1/jwks")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// trusting returns an Authority that trusts the named clusters, with keys from a file or from the API servers.
func trusting(t *testing.T, by string, names ...string) *auth.Authority {
	t.Helper()
	dir := t.TempDir()
	var entries []plane.Object
	for _, name := range names {
		e := plane.Object{"name": "cluster-" + name, "issuer": "https://kubernetes.default.svc", "audience": "openova-flow", "subject": emitterSubject,
			"scopes": []string{"read", "ingest"}, "flows": []string{"*"}, "regions": []string{name}}
		switch by {
		case "jwksFile":
			keys, err := planes[name].Admin().Text(t.Context(), "/openid/v1/jwks")
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name+".json"), []byte(keys), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			e["jwksFile"] = name + ".json"
		case "jwksURL":
			e["jwksURL"], e["jwksCAFile"] = "https://"+planes[name].Addr+"/openid/v1/jwks", filepath.Join(work, name, "certs", "apiserver.crt")
		}
		entries = append(entries, e)
	}
	file := filepath.Join(dir, "tokens.json")
	raw, err := json.Marshal(plane.Object{"trust": entries})
	if err == nil {
		err = os.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.Load(file, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func checkDenied(t *testing.T, a *auth.Authority, what, token string, want auth.Reason) {
	t.Helper()
	_, err := a.Check(context.Background(), auth.Bearer(token))
	var r *auth.Denial
	if !errors.As(err, &r) || r.Reason != want {
		t.Errorf("%s: %v, want it denied for %s", what, err, want)
	}
}

// forged checks that forged tokens are denied. The attacker has a real token and the public keys.
func forged(t *testing.T, a *auth.Authority, name, token string) {
	t.Helper()
	parts := strings.Split(token, ".")
	kid := objectOf(t, parts[0])["kid"]
	keys, err := planes[name].As("").Text(t.Context(), "/openid/v1/jwks")
	if err != nil {
		t.Fatal(err)
	}
	resealed := func(alg string, secret []byte) string {
		header, err := json.Marshal(plane.Object{"alg": alg, "kid": kid})
		if err != nil {
			t.Fatal(err)
		}
		input := base64.RawURLEncoding.EncodeToString(header) + "." + parts[1]
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(input))
		return input + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
	}
	longer := claimsOf(t, token)
	longer["exp"] = 1 << 37
	claims, err := json.Marshal(longer)
	if err != nil {
		t.Fatal(err)
	}
	checkDenied(t, a, name+", alg none", resealed("none", nil), auth.Algorithm)
	checkDenied(t, a, name+", HS256 with the public keys", resealed("HS256", []byte(keys)), auth.Algorithm)
	checkDenied(t, a, name+", HS256 with RS256 in its header", resealed("RS256", []byte(keys)), auth.Signature)
	checkDenied(t, a, name+", a later expiry", parts[0]+"."+base64.RawURLEncoding.EncodeToString(claims)+"."+parts[2], auth.Signature)
	checkDenied(t, a, name+", no signature", parts[0]+"."+parts[1]+".", auth.Signature)
}

func claimsOf(t *testing.T, token string) plane.Object {
	t.Helper()
	return objectOf(t, strings.Split(token, ".")[1])
}

func objectOf(t *testing.T, part string) (o plane.Object) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err == nil {
		err = json.Unmarshal(raw, &o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}
