package gate

import (
	"fmt"
	"strings"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/revision"
)

// Ask is what a gate waits for. The zero value waits until everything is ready.
type Ask struct {
	Region   string // empty: all regions
	Revision string // empty: any; see revision.ParseName

	// Kustomizations and Releases limit the question to these objects, to what these Kustomizations apply and, with a Revision that is not a chart version,
	// to their sources and to the Kustomizations that apply these Releases. Both empty: everything.
	Kustomizations []Name
	Releases       []Release

	// Since, if not zero, requires a run that began at this time or later. It is rounded down to seconds, the precision of times in Kubernetes. An Exact
	// question ignores it.
	Since time.Time
	// SinceStart sets Since, if it is zero, to the time of the first look.
	SinceStart bool

	// Repository knows which commit comes after which; nil: unknown.
	Repository *Repository
}

// Name is the namespace and name of an object.
type Name struct{ Namespace, Name string }

func (n Name) String() string { return n.Namespace + "/" + n.Name }

// Release is a release and the expected chart version; empty: any version.
type Release struct {
	Name
	Version string
}

// ParseName parses NAMESPACE/NAME.
func ParseName(text string) (Name, error) {
	namespace, name, ok := strings.Cut(text, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return Name{}, fmt.Errorf("%.200q is not NAMESPACE/NAME", text)
	}
	return Name{namespace, name}, nil
}

// ParseRelease parses NAMESPACE/NAME or NAMESPACE/NAME=VERSION.
func ParseRelease(text string) (Release, error) {
	before, version, versioned := strings.Cut(text, "=")
	name, err := ParseName(before)
	if err != nil || versioned && version == "" {
		return Release{}, fmt.Errorf("%.200q is not NAMESPACE/NAME or NAMESPACE/NAME=VERSION", text)
	}
	return Release{name, version}, nil
}

// Validate returns an error for a question that can't be answered.
func (a *Ask) Validate() error {
	for i, r := range a.Releases {
		for _, other := range a.Releases[:i] {
			if r.Name == other.Name && r.Version != other.Version {
				return fmt.Errorf("release %s is given with version %.200q and with version %.200q; give it once", r.Name, other.Version, r.Version)
			}
		}
	}
	if a.Revision == "" {
		return nil
	}
	if _, err := revision.ParseName(a.Revision); err != nil {
		return err
	}
	for _, r := range a.Releases {
		if r.Version != "" {
			return fmt.Errorf("release %s has a version, but a revision is given too; give only one of them", r.Name)
		}
	}
	return nil
}

// Exact reports whether the question names a revision, or a version for each object, so that it needs no Since.
func (a *Ask) Exact() bool {
	exact := len(a.Releases) > 0 && len(a.Kustomizations) == 0
	for _, r := range a.Releases {
		exact = exact && r.Version != ""
	}
	return a.Revision != "" || exact
}
