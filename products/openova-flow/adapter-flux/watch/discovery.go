package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// Discovery returns the versions of a resource that a cluster serves: only the wanted one if it is served, otherwise all, or none if the
// cluster does not have the resource.
type Discovery interface {
	Versions(ctx context.Context, wanted schema.GroupVersionResource) ([]string, error)
}

// APIDiscovery is the Discovery of an API server. It does not cache.
type APIDiscovery struct {
	client rest.Interface
}

// NewAPIDiscovery returns the Discovery of the API server in config.
func NewAPIDiscovery(config *rest.Config) (APIDiscovery, error) {
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(config)
	return APIDiscovery{client}, err
}

// Versions implements Discovery.
func (d APIDiscovery) Versions(ctx context.Context, wanted schema.GroupVersionResource) ([]string, error) {
	switch served, err := d.serves(ctx, wanted); {
	case err != nil:
		return nil, err
	case served:
		return []string{wanted.Version}, nil
	}
	var group metav1.APIGroup
	found, err := d.get(ctx, "/apis/"+wanted.Group, &group)
	if err != nil || !found {
		return nil, err
	}
	var versions []string
	for _, v := range group.Versions {
		served, err := d.serves(ctx, wanted.GroupResource().WithVersion(v.Version))
		if err != nil {
			return nil, err
		}
		if served {
			versions = append(versions, v.Version)
		}
	}
	return versions, nil
}

func (d APIDiscovery) serves(ctx context.Context, gvr schema.GroupVersionResource) (bool, error) {
	var list metav1.APIResourceList
	if found, err := d.get(ctx, "/apis/"+gvr.GroupVersion().String(), &list); err != nil || !found {
		return false, err
	}
	for _, r := range list.APIResources {
		if r.Name == gvr.Resource {
			return true, nil
		}
	}
	return false, nil
}

func (d APIDiscovery) get(ctx context.Context, path string, into any) (found bool, err error) {
	body, err := d.client.Get().AbsPath(path).SetHeader("Accept", "application/json").Do(ctx).Raw()
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get %s: %w", path, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return false, fmt.Errorf("read the answer to %s: %w", path, err)
	}
	return true, nil
}

// served returns nil if the cluster serves k in its version, or if ctx was cancelled, otherwise the problem.
func served(ctx context.Context, d Discovery, k Kind) *Problem {
	versions, err := d.Versions(ctx, k.Resource)
	switch {
	case err != nil:
		p := problemOf(err, "discover", k, "")
		if p != nil {
			p.Text = strings.Replace(p.Text, where(""), "", 1)
		}
		return p
	case len(versions) == 0:
		return &Problem{NotServed, fmt.Sprintf("the cluster does not serve %s (is Flux's CRD installed?)", k.Resource.GroupResource())}
	}
	for _, v := range versions {
		if v == k.Resource.Version {
			return nil
		}
	}
	return &Problem{OtherVersion, fmt.Sprintf("the cluster serves %s only as %s; %s is needed",
		k.Resource.GroupResource(), strings.Join(versions, ", "), k.Resource.Version)}
}
