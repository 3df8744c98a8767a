package cloudinit

import "testing"

func TestConfiguration_IsFormatted(t *testing.T) {
	if out, err := newWorkspace(t).run(t, "fmt", "-check", "-recursive", "-diff", "-no-color", absolute(t, "infra")); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
