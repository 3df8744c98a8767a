package natsserver

import (
	"testing"
	"time"
)

func TestStart_OpensNoListener(t *testing.T) {
	s, err := Start(t.Context(), Config{Dir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	for name, listens := range map[string]bool{"clients": s.server.Addr() != nil, "monitoring": s.server.MonitorAddr() != nil, "routes": s.server.ClusterAddr() != nil,
		"profiling": s.server.ProfilerAddr() != nil} {
		if listens {
			t.Errorf("the server listens for %s", name)
		}
	}
	conn, err := s.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if !conn.IsConnected() {
		t.Error("Connect: not connected")
	}
}
