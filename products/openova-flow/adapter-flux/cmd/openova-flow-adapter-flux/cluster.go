package main

import (
	"fmt"
	"path/filepath"
	"time"

	"k8s.io/client-go/dynamic"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/transport"

	"github.com/openova-io/openova/products/openova-flow/adapter-flux/watch"
)

// clients are the ways in which a cluster is talked to.
type clients struct {
	dynamic   dynamic.Interface
	discovery watch.Discovery
	leases    coordination.LeasesGetter
}

// connect makes the clients. It sends nothing.
func connect(c config) (clients, error) {
	r, err := restConfig(c)
	if err != nil {
		return clients{}, err
	}
	r.UserAgent = "openova-flow-adapter-flux/" + buildVersion()
	r.QPS, r.Burst = 50, 100 // six kinds in many namespaces begin at once
	r.WarningHandler = rest.NoWarnings{}
	if r.BearerTokenFile != "" {
		// By itself client-go goes on with the token that it has for up to a minute, also when the API server refuses it.
		r.Wrap(transport.ResettableTokenSourceWrapTransport(transport.NewCachedFileTokenSource(r.BearerTokenFile)))
		r.BearerToken, r.BearerTokenFile = "", ""
	}

	d, err := dynamic.NewForConfig(r)
	if err != nil {
		return clients{}, fmt.Errorf("making a client for the cluster: %w", err)
	}
	discovery, err := watch.NewAPIDiscovery(r)
	if err != nil {
		return clients{}, fmt.Errorf("making a client for the cluster: %w", err)
	}
	election := rest.CopyConfig(r)
	election.Timeout = 3 * time.Second // a renewal that hangs must not take the Lease's whole life
	election.ContentType = "application/json"
	leases, err := coordination.NewForConfig(election)
	if err != nil {
		return clients{}, fmt.Errorf("making a client for the cluster: %w", err)
	}
	return clients{d, discovery, leases}, nil
}

func restConfig(c config) (*rest.Config, error) {
	if c.inCluster && c.kubeconfig == "" && c.context == "" {
		r, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("using the service account of the pod: %w", err)
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
		return nil, fmt.Errorf("KUBECONFIG is %q, --context is %q: no way to a cluster is known from that; name a kubeconfig and a context in it, or run in a pod: %w",
			c.kubeconfig, c.context, err)
	}
	return r, nil
}
