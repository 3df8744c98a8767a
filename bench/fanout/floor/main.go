// Command floor is the least that a reader can cost over net/http: it answers with two headers and one frame, and waits for the reader to
// go. It knows nothing, delivers nothing and keeps nothing. What it takes for each idle reader is net/http's own.
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
	addr := flag.String("listen", "127.0.0.1:8082", "where to listen")
	flag.Parse()
	go func() {
		for range time.Tick(time.Second) { // so that no garbage is counted
			debug.FreeOSMemory()
		}
	}()
	log.Fatal(http.ListenAndServe(*addr, http.HandlerFunc(wait)))
}

func wait(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		_, _ = io.WriteString(w, `{"seq":1}`) // what the generator posts before it begins
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
