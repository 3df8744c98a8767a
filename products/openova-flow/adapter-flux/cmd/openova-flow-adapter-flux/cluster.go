package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/dynamic"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/transport"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/clock"
	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
)

type clients struct {
	dynamic   dynamic.Interface
	discovery watch.Discovery
	leases    coordination.LeasesGetter
	clock     *clock.Offset // reads the cluster's clock from its answers
}

// keepalive has defaults for client-go's environment variables: the seconds until a silent connection is pinged, and from the ping until it is closed. With
// client-go's own, a broken connection is closed only after 45 s, and until then the region would be shown as current.
var keepalive = map[string]string{"HTTP2_READ_IDLE_TIMEOUT_SECONDS": "5", "HTTP2_PING_TIMEOUT_SECONDS": "5"}

// connect makes the clients, and sets variables of keepalive that the environment lacks. It sends no request.
func connect(c config) (clients, error) {
	for name, value := range keepalive {
		if _, set := os.LookupEnv(name); !set {
			_ = os.Setenv(name, value) // fails only for invalid names
		}
	}
	r, err := restConfig(c)
	if err != nil {
		return clients{}, err
	}
	r.UserAgent = "openova-flow-adapter-flux/" + buildVersion()
	r.QPS, r.Burst = 50, 100 // watches of all kinds and namespaces start together
	r.WarningHandler = rest.NoWarnings{}
	offset := &clock.Offset{Changed: func(time.Duration) {}}
	r.Wrap(offset.Cluster)
	if r.BearerTokenFile != "" {
		// By default client-go caches the token for up to a minute, also after the API server has rejected it.
		r.Wrap(transport.ResettableTokenSourceWrapTransport(transport.NewCachedFileTokenSource(r.BearerTokenFile)))
		r.BearerToken, r.BearerTokenFile = "", ""
	}

	d, err := dynamic.NewForConfig(r)
	if err != nil {
		return clients{}, fmt.Errorf("make a client for the cluster: %w", err)
	}
	discovery, err := watch.NewAPIDiscovery(r)
	if err != nil {
		return clients{}, fmt.Errorf("make a client for the cluster: %w", err)
	}
	election := rest.CopyConfig(r)
	election.Timeout = 3 * time.Second // after a renewal that hangs there must be time for another before the Lease expires
	election.ContentType = "application/json"
	leases, err := coordination.NewForConfig(election)
	if err != nil {
		return clients{}, fmt.Errorf("make a client for the cluster: %w", err)
	}
	return clients{d, discovery, leases, offset}, nil
}

func restConfig(c config) (*rest.Config, error) {
	if c.inCluster && c.kubeconfig == "" && c.context == "" {
		r, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("use the service account of the pod: %w", err)
		}
		return r, nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if paths := filepath.SplitList(c.kubeconfig); len(paths) > 1 {
		rules.Precedence = paths
	} else {
		rules.ExplicitPath = c.kubeconfig
	}
	r, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("KUBECONFIG is %q, --context is %q: no cluster found; set a kubeconfig and a context in it, or run in a pod: %w",
			c.kubeconfig, c.context, err)
	}
	return r, nil
}
