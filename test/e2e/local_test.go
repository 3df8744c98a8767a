package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/test/e2e/plane"
	"github.com/openova-io/openova/test/e2e/subscriber"
)

// readerRole may read only HelmReleases and sources.
const readerRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: team-a}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules: [{apiGroups: [helm.toolkit.fluxcd.io, source.toolkit.fluxcd.io], resources: ["*"], verbs: [get, list, watch]}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: team-a}
`

// localAdapter is an adapter that serves the page itself, as a person starts it in a terminal.
type localAdapter struct {
	*plane.Process
	s          *stage
	addr, flow string // of the page
}

// readerKubeconfig grants readerRole in both clusters, and returns a kubeconfig for a user with it.
func (s *stage) readerKubeconfig() (kubeconfig string) {
	s.t.Helper()
	var entries []plane.Entry
	role := s.regions["fsn1"].path("reader.yaml")
	s.must(os.WriteFile(role, []byte(readerRole), 0o600))
	for _, r := range s.both() {
		s.must(r.api.ApplyFile(s.ctx, role))
		token, err := r.api.Token(s.ctx, "team-a", "reader", fmt.Sprintf("person-%d", time.Now().UnixNano()))
		s.must(err)
		s.must(os.WriteFile(r.path("person"), []byte(token), 0o600))
		entries = append(entries, plane.Entry{Name: r.name, Plane: r.plane, Addr: r.plane.Addr, TokenFile: r.path("person")})
	}
	kubeconfig = s.regions["fsn1"].path("person.kubeconfig")
	s.must(plane.Kubeconfig(kubeconfig, entries...))
	return kubeconfig
}

var pageURL = regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/\?flow=(\S+) until`)

func (s *stage) startLocal(kubeconfig, contexts string) *localAdapter {
	s.t.Helper()
	log := filepath.Join(s.dir, fmt.Sprintf("look-%d.log", time.Now().UnixNano()))
	p, err := plane.Start(log, []string{"KUBECONFIG=" + kubeconfig, "HOME=" + work}, adapterBinary, "--context", contexts)
	s.must(err)
	s.t.Cleanup(p.Kill)
	l := &localAdapter{Process: p, s: s}
	s.until("the adapter prints the address of its page", soon, func() bool {
		found := pageURL.FindStringSubmatch(l.output())
		if found != nil {
			l.addr, l.flow = found[1], found[2]
		}
		return found != nil
	})
	return l
}

func (l *localAdapter) output() string {
	l.s.t.Helper()
	text, err := os.ReadFile(l.Log)
	l.s.must(err)
	return string(text)
}

func (l *localAdapter) untilPrinted(sentence string) {
	l.s.t.Helper()
	l.s.until("the adapter prints "+sentence, soon, func() bool { return strings.Contains(l.output(), sentence) })
}

func TestLocalAdapter_ShowsClustersAndNamesWhatIsMissing(t *testing.T) {
	scenario(t, "a person with only a kubeconfig sees both clusters", func(t *testing.T) string {
		s := newStage(t)
		s.small()
		kubeconfig := s.readerKubeconfig()
		began := time.Now()
		l := s.startLocal(kubeconfig, "fsn1,hel1")
		if l.flow != "fsn1-hel1" {
			t.Errorf("the flow is %q", l.flow)
		}
		s.must(plane.Wait(s.ctx, soon, func() error {
			body, err := get("http://" + l.addr + "/v1/flows/" + l.flow + "/snapshot")
			if err != nil {
				return err
			}
			m, err := flow.Decode(l.flow, []byte(body))
			s.must(err)
			want, err := s.truth()
			s.must(err)
			return same("the snapshot", subscriber.Fold(m), want)
		}))
		took := time.Since(began)
		if page, err := get("http://" + l.addr + "/?flow=" + l.flow); err != nil || !strings.Contains(page, "<html") {
			t.Errorf("no page: %v", err)
		}
		s.must(l.Stop())
		return "everything shown after " + took.Round(100*time.Millisecond).String()
	})
	scenario(t, "messages for missing permissions, missing Flux and an old Flux", func(t *testing.T) string {
		s := newStage(t)
		r := s.regions["hel1"]
		kubeconfig := s.readerKubeconfig()
		_, err := r.api.Do(s.ctx, http.MethodDelete, plane.Path("ClusterRoleBinding", "", "reader"), "", nil)
		s.must(err)
		l := s.startLocal(kubeconfig, "hel1")
		l.untilPrinted("hel1: HelmRelease is not shown: no permission to list helmreleases.helm.toolkit.fluxcd.io in all namespaces")
		l.Kill()

		s.readerKubeconfig() // grants the permissions again
		s.must(r.removeCRDs(s.ctx))
		restore := func() error {
			ctx := context.Background() // the test's own context has ended
			return errors.Join(r.removeCRDs(ctx), installCRDs(ctx, r.plane), established(ctx, r.plane))
		}
		t.Cleanup(func() {
			if err := restore(); err != nil {
				t.Error(err)
			}
		})
		l = s.startLocal(kubeconfig, "hel1")
		l.untilPrinted("hel1: Flux is not installed")
		for _, file := range kit.CRDs {
			if strings.Contains(file, "helmreleases") {
				s.must(r.api.ApplyFile(s.ctx, file, "    name: v2\n", "    name: v2beta1\n"))
			}
		}
		l.untilPrinted("hel1: HelmRelease is not shown: the cluster serves helmreleases.helm.toolkit.fluxcd.io only as v2beta1; v2 is needed")
		l.untilPrinted("hel1: Kustomization is not shown: the cluster does not serve kustomizations.kustomize.toolkit.fluxcd.io")
		return ""
	})
}
