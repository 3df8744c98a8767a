package e2e

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/flow"
	"github.com/openova-io/openova/test/e2e/conductor"
	"github.com/openova-io/openova/test/e2e/plane"
	"github.com/openova-io/openova/test/e2e/subscriber"
	"github.com/openova-io/openova/test/e2e/truth"
)

const (
	flowID = "env-1"
	soon   = 30 * time.Second // time limit of most waits
)

// leaseName is the name of the Lease with which the adapters of a region elect a leader.
func leaseName(region string) string {
	sum := sha256.Sum256([]byte(flowID + "/" + region))
	return "openova-flow-adapter-flux-" + hex.EncodeToString(sum[:5])
}

// stage has the parts of a scenario: a flow server, a subscriber, and the regions.
type stage struct {
	t          *testing.T
	ctx        context.Context
	dir        string
	addr       string // of the flow server
	server     *plane.Process
	subscriber *subscriber.Subscriber
	regions    map[string]*region
}

type region struct {
	stage     *stage
	name      string
	plane     *plane.Plane
	api       *plane.Client
	conductor *conductor.Conductor
	toAPI     *plane.Proxy // network between adapters and API server
	toServer  *plane.Proxy // network between adapters and flow server
	secret    string       // name of the Secret that the adapters' token is bound to
	adapters  int          // number of started adapters
}

// newStage returns a stage with empty clusters, a flow server, a subscriber, and no adapters.
func newStage(t *testing.T) *stage {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	s := &stage{t: t, ctx: ctx, dir: filepath.Join(logs, notInFileNames.ReplaceAllString(t.Name(), "-")), regions: map[string]*region{}}
	var err error
	s.addr, err = plane.FreeAddr()
	s.must(err)
	s.startServer()
	s.subscriber = subscriber.New("http://"+s.addr, flowID)
	var following sync.WaitGroup
	t.Cleanup(following.Wait)
	watching, stop := context.WithCancel(ctx)
	following.Go(func() { s.subscriber.Run(watching) })
	t.Cleanup(stop)
	for _, name := range regionNames {
		s.regions[name] = s.newRegion(name)
	}
	return s
}

func (s *stage) newRegion(name string) *region {
	s.t.Helper()
	r := &region{stage: s, name: name, plane: planes[name], api: planes[name].Admin()}
	s.must(r.wipe())
	r.conductor = conductor.New(name, r.api)
	var err error
	r.toAPI, err = plane.NewProxy(r.plane.Addr)
	s.must(err)
	s.t.Cleanup(r.toAPI.Close)
	r.toServer, err = plane.NewProxy(s.addr)
	s.must(err)
	s.t.Cleanup(r.toServer.Close)
	r.newToken()
	s.must(plane.Kubeconfig(r.path("kubeconfig"), plane.Entry{Name: name, Plane: r.plane, Addr: r.toAPI.Addr(), TokenFile: r.path("token")}))
	return r
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

var notInFileNames = regexp.MustCompile(`[^A-Za-z0-9]+`)

func (s *stage) both() []*region { return []*region{s.regions["fsn1"], s.regions["hel1"]} }

func (r *region) path(name string) string {
	dir := filepath.Join(work, "state", filepath.Base(r.stage.dir), r.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		r.stage.t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// wipe deletes the Leases and the objects of Flux that an earlier scenario may have left in the cluster.
func (r *region) wipe() error {
	for _, kind := range append([]string{"HelmChart", "Lease"}, truth.Kinds...) {
		list, err := r.api.List(r.stage.ctx, kind)
		if err != nil {
			return err
		}
		for _, o := range list {
			meta := o["metadata"].(plane.Object)
			namespace, name := meta["namespace"].(string), meta["name"].(string)
			if namespace == "kube-system" {
				continue
			}
			path := plane.Path(kind, namespace, name)
			if meta["finalizers"] != nil {
				patch := []plane.Object{{"op": "remove", "path": "/metadata/finalizers"}}
				if _, err := r.api.Do(r.stage.ctx, http.MethodPatch, path, plane.JSONPatch, patch); err != nil {
					return err
				}
			}
			if _, err := r.api.Do(r.stage.ctx, http.MethodDelete, path, "", nil); err != nil && !plane.IsCode(err, http.StatusNotFound) {
				return err
			}
		}
	}
	return nil
}

// newToken gets a token for the adapters and writes it to their token file.
func (r *region) newToken() {
	r.stage.t.Helper()
	r.secret = fmt.Sprintf("token-%d", time.Now().UnixNano())
	token, err := r.api.Token(r.stage.ctx, "flux-system", "openova-flow-emitter", r.secret)
	r.stage.must(err)
	tmp := r.path("token.new")
	r.stage.must(os.WriteFile(tmp, []byte(token), 0o600))
	r.stage.must(os.Rename(tmp, r.path("token")))
}

// startServer starts an empty flow server and waits until it is ready.
func (s *stage) startServer() {
	s.t.Helper()
	var err error
	s.server, err = plane.Start(filepath.Join(s.dir, "openova-flow-server.log"), []string{"FLOW_SERVER_LISTEN_ADDR=" + s.addr}, serverBinary)
	s.must(err)
	s.t.Cleanup(s.server.Kill)
	s.must(plane.Wait(s.ctx, soon, func() error {
		_, err := get("http://" + s.addr + "/readyz")
		return err
	}))
}

type adapter struct {
	*plane.Process
	t      *testing.T
	health string // base URL
}

// startAdapter starts an adapter as in a pod of the DaemonSet.
func (r *region) startAdapter(env ...string) *adapter {
	r.stage.t.Helper()
	health, err := plane.FreeAddr()
	r.stage.must(err)
	r.adapters++
	pod := fmt.Sprintf("adapter-%d", r.adapters)
	env = append([]string{"KUBECONFIG=" + r.path("kubeconfig"), "FLOW_SERVER_URL=http://" + r.toServer.Addr(), "FLOW_ID=" + flowID, "REGION_KEY=" + r.name,
		"NAMESPACE_FILTER=", "HEALTH_LISTEN_ADDR=" + health, "LEADER_ELECTION=true", "POD_NAMESPACE=flux-system", "POD_NAME=" + pod, "HOME=" + work}, env...)
	p, err := plane.Start(filepath.Join(r.stage.dir, r.name+"-"+pod+".log"), env, adapterBinary)
	r.stage.must(err)
	a := &adapter{p, r.stage.t, "http://" + health}
	r.stage.t.Cleanup(a.Kill)
	return a
}

func (a *adapter) ready() *adapter {
	a.t.Helper()
	err := plane.Wait(a.t.Context(), soon, func() error {
		_, err := get(a.health + "/readyz")
		return err
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return a
}

// metric returns the value of a metric without labels, 0 if it is not available.
func (a *adapter) metric(name string) (value float64) {
	body, err := get(a.health + "/metrics")
	if err != nil {
		return 0
	}
	for l := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(l, name+" "); ok {
			_, _ = fmt.Sscan(rest, &value)
		}
	}
	return value
}

func (a *adapter) leads() bool { return a.metric("flow_adapter_leader") == 1 }

func (s *stage) until(what string, within time.Duration, ok func() bool) {
	s.t.Helper()
	err := plane.Wait(s.ctx, within, func() error {
		if !ok() {
			return errors.New(what)
		}
		return nil
	})
	s.must(err)
}

// get returns the body of a response, and an error unless its status is 200.
func get(url string) (string, error) {
	res, err := (&http.Client{Timeout: 5 * time.Second}).Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return string(body), fmt.Errorf("%s: %s: %s", url, res.Status, body)
	}
	return string(body), nil
}

// snapshot returns the flow server's snapshot, empty if the server is unreachable or does not have the flow.
func (s *stage) snapshot() *flow.Message {
	s.t.Helper()
	body, err := get("http://" + s.addr + "/v1/flows/" + flowID + "/snapshot")
	if err != nil {
		return &flow.Message{Type: flow.TypeSnapshot}
	}
	m, err := flow.Decode(flowID, []byte(body))
	s.must(err)
	return m
}

func (s *stage) node(id string) (flow.Node, bool) {
	for _, n := range s.snapshot().Nodes {
		if n.ID == id {
			return n, true
		}
	}
	return flow.Node{}, false
}

// truth returns the expected view, from the objects in the API servers.
func (s *stage) truth() (truth.View, error) {
	v := truth.NewView()
	for _, r := range s.both() {
		var all []plane.Object
		for _, kind := range truth.Kinds {
			list, err := r.api.List(s.ctx, kind)
			if err != nil && !plane.IsCode(err, http.StatusNotFound) {
				return v, err
			}
			all = append(all, list...)
		}
		v.Add(r.name, all)
	}
	return v, nil
}

// converge waits until the flow server's snapshot and the subscriber equal the truth, and returns the duration.
func (s *stage) converge() time.Duration {
	s.t.Helper()
	began := time.Now()
	s.must(plane.Wait(s.ctx, soon, func() error {
		want, err := s.truth()
		if err != nil {
			return err
		}
		if err := same("the snapshot", subscriber.Fold(s.snapshot()), want); err != nil {
			return err
		}
		return same("the subscriber", s.subscriber.View(), want)
	}))
	return time.Since(began)
}

func same(what string, got, want truth.View) error {
	var wrong []string
	for id, status := range want.Status {
		if got.Status[id] != status {
			wrong = append(wrong, fmt.Sprintf("%s is %q, want %q", id, got.Status[id], status))
		}
	}
	for id, status := range got.Status {
		if _, ok := want.Status[id]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s is %q, but should not exist", id, status))
		}
	}
	for e := range want.Edges {
		if !got.Edges[e] {
			wrong = append(wrong, fmt.Sprintf("the edge %v is missing", e))
		}
	}
	for e := range got.Edges {
		if !want.Edges[e] {
			wrong = append(wrong, fmt.Sprintf("the edge %v should not exist", e))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	if len(wrong) > 8 {
		wrong = append(wrong[:8], fmt.Sprintf("and %d more", len(wrong)-8))
	}
	return fmt.Errorf("%s differs from the clusters: %s", what, strings.Join(wrong, "; "))
}

// checkShown checks that the subscriber showed only statuses and edges that the clusters had, and that the stream kept to the protocol.
func (s *stage) checkShown() {
	s.t.Helper()
	series, edges := s.subscriber.Shown()
	for _, id := range slices.Sorted(maps.Keys(series)) {
		for _, status := range series[id] {
			if status != truth.Gone && !slices.ContainsFunc(s.both(), func(r *region) bool { return r.conductor.History.Had(id, status) }) {
				s.t.Errorf("%s was shown as %q, a status that it never had", id, status)
			}
		}
	}
	byEnds := func(a, b truth.Edge) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) }
	for _, e := range sorted(edges, byEnds) {
		if !slices.ContainsFunc(s.both(), func(r *region) bool { return r.conductor.History.HadEdge(e) }) {
			s.t.Errorf("the edge %v was shown, but never existed", e)
		}
	}
	if wrong := s.subscriber.Wrong(); len(wrong) > 0 {
		s.t.Errorf("the stream broke the protocol: %q", wrong)
	}
}

// complete checks that the subscriber showed every status of each node, in order. That holds if no connection of the subscriber broke.
func (s *stage) complete() {
	s.t.Helper()
	series, _ := s.subscriber.Shown()
	for _, r := range s.both() {
		for id, want := range r.conductor.History.Series() {
			if !slices.Equal(series[id], want) {
				s.t.Errorf("%s was shown as %q; it was %q", id, series[id], want)
			}
		}
	}
}

// play replays a recording in each region, all at the same time. over waits for the end and reports errors.
func (s *stage) play(speed float64, files map[string]string) (over func()) {
	s.t.Helper()
	var all []func()
	for name, file := range files {
		events, err := conductor.Read(recordings + file + ".jsonl")
		s.must(err)
		all = append(all, s.regions[name].play(speed, events))
	}
	return func() {
		s.t.Helper()
		for _, over := range all {
			over()
		}
	}
}

// play replays events in the region. over waits for the end and reports errors.
func (r *region) play(speed float64, events []conductor.Event) (over func()) {
	var wg sync.WaitGroup
	err := make(chan error, 1)
	wg.Go(func() { err <- r.conductor.Play(r.stage.ctx, events, speed) })
	r.stage.t.Cleanup(wg.Wait)
	return func() {
		r.stage.t.Helper()
		r.stage.must(<-err)
	}
}
