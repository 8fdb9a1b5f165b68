package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// handlerTransport carries a client's requests to a handler in the same process: the whole chain of authentication,
// authorization and admission runs, but no socket, no TLS and no framing. A part is the same API client with it as
// without.
type handlerTransport struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper. It returns when the handler is done, or when it flushes the first piece of a
// stream.
func (t handlerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	// ends with the client's interest, as that of a request from outside does
	ctx, cancel := context.WithCancel(req.Context())
	served := req.Clone(ctx)
	served.RequestURI = req.URL.RequestURI()
	served.RemoteAddr = "127.0.0.1:0"
	served.Proto, served.ProtoMajor, served.ProtoMinor = "HTTP/2.0", 2, 0
	if served.Body == nil {
		served.Body = http.NoBody
	}
	a := newAnswer(cancel)
	go a.serve(t.handler, served)
	select {
	case <-a.started:
	case <-req.Context().Done():
		a.close(req.Context().Err())
		return nil, req.Context().Err()
	}
	return a.response(req), nil
}

// answer is one response: its writer's end is the handler's, its reader's end the client's.
type answer struct {
	started     chan struct{} // closed when the client may begin to read
	startedOnce sync.Once
	header      http.Header
	cancel      context.CancelFunc // of the request that the handler serves

	mu     sync.Mutex // protects what follows
	change *sync.Cond
	sent   http.Header // header as it was when the status went out
	code   int
	body   bytes.Buffer
	stream bool  // the client reads while the handler writes
	end    error // io.EOF when the handler is done; what ended it otherwise
}

func newAnswer(cancel context.CancelFunc) *answer {
	a := &answer{started: make(chan struct{}), header: http.Header{}, cancel: cancel}
	a.change = sync.NewCond(&a.mu)
	return a
}

func (a *answer) serve(handler http.Handler, req *http.Request) {
	end := io.EOF
	defer func() {
		if r := recover(); r != nil { // http.ErrAbortHandler, by which a handler breaks off
			end = fmt.Errorf("the server broke off the answer: %v", r)
		}
		a.close(end)
		a.cancel()
	}()
	handler.ServeHTTP(a, req)
}

func (a *answer) response(req *http.Request) *http.Response {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sendHeader(http.StatusOK)
	return &http.Response{
		Status: http.StatusText(a.code), StatusCode: a.code, Header: a.sent, Body: a, Request: req, ContentLength: -1,
		Proto: "HTTP/2.0", ProtoMajor: 2,
	}
}

// sendHeader fixes status and header; the first call counts. The caller holds mu.
func (a *answer) sendHeader(code int) {
	if a.code == 0 {
		a.code, a.sent = code, a.header.Clone()
	}
}

func (a *answer) close(end error) {
	a.mu.Lock()
	if a.end == nil {
		a.end = end
	}
	a.mu.Unlock()
	a.change.Broadcast()
	a.startedOnce.Do(func() { close(a.started) })
}

// The handler's end.

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sendHeader(code)
}

// maxUnread is how far the writer of a stream may be ahead of its reader, in bytes.
const maxUnread = 1 << 20

// Write implements http.ResponseWriter. It waits for a slow reader of a stream. What a client that has gone would have
// read is dropped: the handler is told by the end of its context, and an error besides would only be logged as one.
func (a *answer) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.stream && a.body.Len() > maxUnread && a.end == nil {
		a.change.Wait()
	}
	if a.end != nil {
		return len(b), nil
	}
	a.sendHeader(http.StatusOK)
	n, err := a.body.Write(b)
	a.change.Broadcast()
	return n, err
}

// Flush implements http.Flusher.
func (a *answer) Flush() {
	a.mu.Lock()
	a.sendHeader(http.StatusOK)
	a.stream = true
	a.mu.Unlock()
	a.startedOnce.Do(func() { close(a.started) })
}

// CloseNotify implements the deprecated http.CloseNotifier, by which the library recognizes a writer that can stream.
// It asks for nothing more: the request's context is what ends a watch.
func (a *answer) CloseNotify() <-chan bool { return nil }

// The client's end.

var errBodyClosed = errors.New("the answer's body is closed")

// Read waits for more of the body.
func (a *answer) Read(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.body.Len() == 0 && a.end == nil {
		a.change.Wait()
	}
	if a.body.Len() == 0 {
		return 0, a.end
	}
	a.change.Broadcast()
	return a.body.Read(b)
}

// Close ends the reading, and the context of a handler that still writes.
func (a *answer) Close() error {
	a.cancel()
	a.close(errBodyClosed)
	return nil
}
