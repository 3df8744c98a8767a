package httpapi_test

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/openova-io/openova/products/openova-flow/server/httpapi"
	"github.com/openova-io/openova/products/openova-flow/server/hub"
)

// TestStream_UploadOfASubscriberIsNotRead has subscribers send data endlessly on their streams. The fast writer disconnects them after a few KiB, the portable
// one leaves the bytes in the kernel. Other subscribers get all messages.
func TestStream_UploadOfASubscriberIsNotRead(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		e := start(t, hub.Config{}, httpapi.Config{StreamMode: mode})
		e.post(upsert(node("a", "x")))
		subscriber := e.watch(streamF)
		subscriber.message() // the snapshot
		const uploaders = 3
		sent := make(chan int, uploaders)
		var conns []net.Conn
		for range uploaders {
			conn, _ := e.raw(streamF)
			conns = append(conns, conn)
			go func() {
				piece, n := bytes.Repeat([]byte{'x'}, 32<<10), 0
				for {
					_ = conn.SetWriteDeadline(time.Now().Add(within))
					m, err := conn.Write(piece)
					n += m
					if err != nil {
						sent <- n
						return
					}
				}
			}()
		}
		if mode == httpapi.StreamAuto {
			for range uploaders {
				<-sent
			}
			until(t, "only the subscriber to be left", func() bool { return e.hub.Stats.Subscribers.Load() == 1 })
		}
		for range 50 {
			e.post(upsert(node("b", "y")))
			subscriber.message()
		}
		for _, conn := range conns {
			conn.Close()
		}
		if mode == httpapi.StreamPortable {
			for range uploaders {
				if n := <-sent; n > 64<<20 {
					t.Errorf("%d bytes were read from an uploading subscriber", n)
				}
			}
		}
	})
}

// TestStream_RequestIsNotModified has a middleware check a request after its stream has ended.
func TestStream_RequestIsNotModified(t *testing.T) {
	onBothWriters(t, func(t *testing.T, mode string) {
		h := newHub(t, hub.Config{})
		api := httpapi.New(h, httpapi.Config{StreamMode: mode})
		seen := make(chan *http.Request, 1)
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			api.ServeHTTP(w, r)
			seen <- r
		}))
		srv.Config.ConnContext = httpapi.ConnContext
		srv.Start()
		defer srv.Close()
		resp, err := http.Get(srv.URL + streamF + "?lastEventId=7")
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
		resp.Body.Close()
		r := <-seen
		if r.URL.Path != streamF || r.URL.RawQuery != "lastEventId=7" || r.RequestURI != streamF+"?lastEventId=7" || "http://"+r.Host != srv.URL || r.Header.Get("User-Agent") == "" {
			t.Errorf("after the stream the request is %s %v %q %q %v", r.Method, r.URL, r.RequestURI, r.Host, r.Header)
		}
	})
}
