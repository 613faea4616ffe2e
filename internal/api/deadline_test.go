package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The time limit of a body is no limit of the call: a caller may wait for its
// answer for as long as it takes, whether it sent a body or none.
func TestBodyLimitIsNoLimitOfTheCall(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := limitRead(r, w, 20*time.Millisecond); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		select {
		case <-r.Context().Done():
			w.WriteHeader(http.StatusTeapot)
		case <-time.After(200 * time.Millisecond):
		}
	}))
	defer srv.Close()
	for _, body := range []io.Reader{nil, strings.NewReader("hello")} {
		resp, err := http.Post(srv.URL, "text/plain", body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != http.StatusOK {
			t.Error("the limit of its body ended the call")
		}
	}
}
