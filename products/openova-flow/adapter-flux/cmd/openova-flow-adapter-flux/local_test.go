package main

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch/apitest"
	"github.com/openova-io/openova/products/openova-flow/server/flow"
)

func TestLocal_ContextsNameFlowAndRegions(t *testing.T) {
	none := func(string) bool { return false }
	for contexts, want := range map[string]struct {
		flow    string
		regions []string
	}{
		"my-cluster":                            {"my-cluster", []string{"my-cluster"}},
		"fsn1,hel1":                             {"fsn1-hel1", []string{"fsn1", "hel1"}},
		"fsn1, fsn1,":                           {"fsn1", []string{"fsn1"}},
		"Prod/a,prod-a":                         {"Prod-a-prod-a", []string{"prod-a", "prod-a-2"}},
		"arn:aws:eks:eu-west-1:12:cluster/shop": {"arn:aws:eks:eu-west-1:12:cluster-shop", []string{"arn-aws-eks-eu-west-1-12-cluster-shop"}},
		"_":                                     {"_", []string{"primary"}},
		"..":                                    {"local", []string{"primary"}},
	} {
		var regions []string
		configs := config{context: contexts, region: "primary"}.perContext("http://here", none)
		for _, v := range configs {
			regions = append(regions, v.region)
			if v.flowID != want.flow || !flow.ValidID(v.flowID) || !validRegion.MatchString(v.region) {
				t.Errorf("%s: flow %q region %q, want flow %q", contexts, v.flowID, v.region, want.flow)
			}
			if v.namespaces != nil || v.leaderElection || v.server != "http://here" {
				t.Errorf("%s: %+v", contexts, v)
			}
		}
		if !slices.Equal(regions, want.regions) {
			t.Errorf("%s: regions %q, want %q", contexts, regions, want.regions)
		}
	}
}

func TestLocal_KeepsExplicitSettings(t *testing.T) {
	all := func(string) bool { return true }
	v := config{context: "a", flowID: "F", region: "r", namespaces: []string{"apps"}}.perContext("http://here", all)[0]
	if v.flowID != "F" || v.region != "r" || !slices.Equal(v.namespaces, []string{"apps"}) {
		t.Errorf("%+v", v)
	}
}

func TestLocal_RejectsContextsWithoutAName(t *testing.T) {
	for _, contexts := range []string{",\t", "\u00a0"} {
		if _, _, err := call(t, map[string]string{"KUBECONFIG": "/nowhere"}, "", "--context", contexts); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("--context is %q", contexts)) {
			t.Errorf("%q: got %v", contexts, err)
		}
	}
}

var pageURL = regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/\?flow=(\S+) until`)

// startLocal starts the program with only a kubeconfig and a context, and returns it and the address of its server.
func startLocal(t *testing.T, kubeconfig string) (*process, string) {
	t.Helper()
	p := spawn(t, nil, adapterBinary, "--kubeconfig", kubeconfig, "--context", "c")
	var found []string
	eventually(t, "the address of the page is printed", p.out, func() bool {
		found = pageURL.FindStringSubmatch(p.out.String())
		return found != nil
	})
	if found[2] != "c" {
		t.Errorf("the flow is %q, want the name of the context", found[2])
	}
	return p, found[1]
}

func TestLocal_NeedsOnlyAContext(t *testing.T) {
	k8s, kubeconfig := cluster(t)
	write(t, k8s, "kit-fsn1")
	p, addr := startLocal(t, kubeconfig)
	want := truth(t, "c", "kit-fsn1")
	eventually(t, "the server in the process has the final state", p.out, func() bool {
		m := snapshot(t, addr, "c")
		return m != nil && maps.Equal(statuses(m.Nodes), want)
	})
	if code, page := get("http://" + addr + "/?flow=c"); code != http.StatusOK || !strings.Contains(page, "<html") {
		t.Errorf("the page: %d %.80s", code, page)
	}
	for name, value := range map[string]string{"Host": "rebound.example", "Origin": "https://evil.example"} {
		r, err := http.NewRequest(http.MethodGet, "http://"+addr+"/v1/flows", nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("a request with %s %s can read the flow: %s", name, value, resp.Status)
		}
	}
	if n := k8s.Requests("/leases/") + k8s.Requests("POST ", "/leases"); n > 0 {
		t.Errorf("%d requests for a Lease of its own; a local run must need only permissions to read", n)
	}
	p.terminate(t)
	if p.exitErr != nil {
		t.Errorf("%v\n%s", p.exitErr, p.out)
	}
}

func TestDescribeGaps_WithoutFluxAnUnknownClusterIsStillNamed(t *testing.T) {
	i := watch.Info{Gaps: []watch.Gap{{Kind: "Namespace", Class: watch.Forbidden, Why: "no permission"}}}
	for _, k := range watch.Kinds {
		i.Gaps = append(i.Gaps, watch.Gap{Kind: k.Name, Class: watch.NotServed, Why: "not served"})
	}
	if lines := describeGaps(i); len(lines) != 2 || !strings.HasSuffix(lines[0], ": no permission") || !strings.HasPrefix(lines[1], "Flux is not installed") {
		t.Errorf("%q", lines)
	}
}

func TestLocal_ReportsMissingKindsAndPermissions(t *testing.T) {
	none := apitest.New("cluster-1")
	t.Cleanup(none.Close)
	p, _ := startLocal(t, kubeconfigOf(t, none))
	eventually(t, "missing Flux is reported", p.out, func() bool {
		return strings.Contains(p.out.String(), "c: Flux is not installed")
	})

	forbidden, kubeconfig := cluster(t)
	forbidden.Fail(1<<30, apitest.Forbidden("list", "kustomizations", "kustomize.toolkit.fluxcd.io", "at the cluster scope"),
		func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/kustomizations") })
	p, _ = startLocal(t, kubeconfig)
	eventually(t, "the missing permission is reported", p.out, func() bool {
		return regexp.MustCompile(`(?m)^c: Kustomization .*\blist kustomizations\.kustomize\.toolkit\.fluxcd\.io\b`).MatchString(p.out.String())
	})
	if err := p.cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error("the program has ended")
	}
}
