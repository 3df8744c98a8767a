// Command floor is a server for measuring the minimum memory of a subscriber with net/http: it sets two headers, sends one frame, and waits until the
// subscriber disconnects. It has no state and delivers no messages, so all its memory is that of net/http and the Go runtime.
package main

import (
	"flag"
	"io"
	"log"
	"net/http"
	"runtime/debug"
	"time"
)

func main() {
	addr := flag.String("listen", "127.0.0.1:8082", "address to listen on")
	flag.Parse()
	go func() {
		for range time.Tick(time.Second) { // keeps garbage out of the measurement
			debug.FreeOSMemory()
		}
	}()
	log.Fatal(http.ListenAndServe(*addr, http.HandlerFunc(wait)))
}

func wait(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		_, _ = io.WriteString(w, `{"seq":1}`) // the load generator's first POST needs this answer
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	if _, err := io.WriteString(w, "id: 1\nevent: snapshot\ndata: {}\n\n"); err != nil {
		return
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	<-r.Context().Done()
}
