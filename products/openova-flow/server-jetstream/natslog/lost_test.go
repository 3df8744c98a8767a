package natslog_test

import (
	"fmt"
	"testing"

	"github.com/openova-io/openova/products/openova-flow/server-jetstream/natslog"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// TestWhatIsDroppedJustBeforeItIsReadIsNotMissing has the stream drop exactly what a replica that loads has not read yet of a flow, up to
// what there was when it began.
func TestWhatIsDroppedJustBeforeItIsReadIsNotMissing(t *testing.T) {
	s := startNATS(t, t.TempDir())
	cfg := hub.Config{RingCapacity: 100} // 4296 of a flow are held, and a checkpoint comes after 25
	here := start(t, s, cfg)
	post(t, here, "A", "a", "running") // in no checkpoint, so that loading can be held there
	for i := range 25 {
		post(t, here, "F", fmt.Sprint("first-", i), "running")
	}
	many(t, here, "B", 150) // more than is read ahead
	for i := range 20 {
		post(t, here, "F", fmt.Sprint("second-", i), "running")
	}
	post(t, here, "A", "b", "running")
	var release func()
	late := begin(t, s, cfg, func(l *natslog.Log) { release = l.Hold() })
	eventually(t, "reading", late.log.Reading)
	many(t, here, "F", 268) // 4288
	for i := range 8 {
		post(t, here, "F", fmt.Sprint("third-", i), "running")
	}
	release()
	eventually(t, "loaded", func() bool { return late.log.Status().Loaded })
	same(t, late, here, false)
}
