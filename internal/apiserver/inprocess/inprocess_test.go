package inprocess

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func get(t *testing.T, ctx context.Context, handler http.HandlerFunc) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://server/path?x=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := Transport{handler}.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestAnswer(t *testing.T) {
	resp := get(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Path", r.RequestURI)
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-Late", "1")
		io.WriteString(w, "short and stout")
	})
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "short and stout" {
		t.Errorf("body %q, error %v", body, err)
	}
	if resp.StatusCode != http.StatusTeapot || resp.Header.Get("X-Path") != "/path?x=1" ||
		resp.Header.Get("X-Late") != "" {
		t.Errorf("status %d, header %v", resp.StatusCode, resp.Header)
	}
}

func TestStreamIsReadWhileItIsWritten(t *testing.T) {
	next := make(chan string, 1)
	next <- "one"
	resp := get(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) {
		for piece := range next {
			io.WriteString(w, piece)
			w.(http.Flusher).Flush()
		}
	})
	buf := make([]byte, 16)
	for _, want := range []string{"one", "two", "three"} {
		if want != "one" {
			next <- want // only now: what is read next cannot have been written before
		}
		n, err := resp.Body.Read(buf)
		if err != nil || string(buf[:n]) != want {
			t.Fatalf("read %q, error %v, want %q", buf[:n], err, want)
		}
	}
	close(next)
	if _, err := resp.Body.Read(buf); err != io.EOF {
		t.Errorf("error %v at the end, want EOF", err)
	}
}

func TestClientGoes(t *testing.T) {
	handlerErr := make(chan error, 1)
	resp := get(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("x", 4096)); err != nil {
				handlerErr <- err
				return
			}
		}
		handlerErr <- nil
	})
	if _, err := resp.Body.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := <-handlerErr; err != nil {
		t.Errorf("Write after the client closed the body: %v", err)
	}
	if _, err := resp.Body.Read(make([]byte, 1)); err == nil {
		if rest, _ := io.ReadAll(resp.Body); len(rest) > 2*maxUnread {
			t.Errorf("%d bytes were kept after the client closed the body", len(rest))
		}
	}
}

func TestCancelledBeforeTheAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	entered := make(chan struct{})
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://server/", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-entered; cancel() }()
	if _, err := (Transport{handler}).RoundTrip(req); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
}

func TestAbort(t *testing.T) {
	resp := get(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	})
	body, err := io.ReadAll(resp.Body)
	if string(body) != "half" || err == nil {
		t.Errorf("body %q, error %v; want the half and an error", body, err)
	}
}
