package insight

import (
	"slices"
	"testing"
)

func TestAllowedCommand_AllowsAdapterCommands(t *testing.T) {
	for _, argv := range [][]string{
		{"kubectl", "-n", "a", "describe", "deployment", "b"},
		{"kubectl", "-n", "a", "get", "helmrelease", "b", "-o", "jsonpath={.spec.dependsOn}"},
		{"kubectl", "get", "--raw=/readyz?verbose"},
		{"kubectl", "auth", "can-i", "get", "pods", "--as=system:serviceaccount:a:b"},
		{"kubectl", "-n", "flux-system", "logs", "deployment/helm-controller", "--tail=100"},
		{"flux", "reconcile", "helmrelease", "a", "-n", "b", "--reset"},
		{"flux", "resume", "source", "git", "a", "-n", "b"},
	} {
		if got := allowedCommand(argv); !slices.Equal(got, argv) {
			t.Errorf("allowedCommand(%q) = %q", argv, got)
		}
	}
}

func TestAllowedCommand_RejectsOthers(t *testing.T) {
	for _, argv := range [][]string{
		nil, {"kubectl"}, {"sh", "-c", "true"}, {"kubectl", "delete", "namespace", "prod"}, {"kubectl", "-n", "a", "exec", "b"}, {"kubectl", "-n"},
		{"kubectl", "get", "pods", "--server=https://example.com"}, {"kubectl", "--kubeconfig=x", "get", "pods"}, {"kubectl", "get", "pods", "--as=-x"},
		{"flux", "uninstall"}, {"flux", "reconcile", "helmrelease", "a", "--context=b"},
	} {
		if got := allowedCommand(argv); got != nil {
			t.Errorf("allowedCommand(%q) = %q, want nil", argv, got)
		}
	}
}
