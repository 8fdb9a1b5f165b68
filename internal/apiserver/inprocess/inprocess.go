// Package inprocess carries HTTP requests to a handler in the same process, without a socket.
package inprocess

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// Transport is an http.RoundTripper that calls Handler. The handler sees an HTTP/2 request from 127.0.0.1; TLS and
// framing are left out.
type Transport struct{ Handler http.Handler }

// RoundTrip implements http.RoundTripper. It returns when the handler returns, or when the handler flushes for the
// first time.
func (t Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	// Closing the response's body ends the handler's context, as for a request over the network.
	ctx, cancel := context.WithCancel(req.Context())
	served := req.Clone(ctx)
	served.RequestURI = req.URL.RequestURI()
	served.RemoteAddr = "127.0.0.1:0"
	served.Proto, served.ProtoMajor, served.ProtoMinor = "HTTP/2.0", 2, 0
	if served.Body == nil {
		served.Body = http.NoBody
	}
	x := newExchange(cancel)
	go x.serve(t.Handler, served)
	select {
	case <-x.started:
	case <-req.Context().Done():
		x.close(req.Context().Err())
		return nil, req.Context().Err()
	}
	return x.response(req), nil
}

// exchange is one response: the handler writes it as an http.ResponseWriter, and the client reads it as a body.
type exchange struct {
	started     chan struct{} // closed when the client may begin to read
	startedOnce sync.Once
	header      http.Header
	cancel      context.CancelFunc // of the request that the handler serves

	mu     sync.Mutex // protects what follows
	change *sync.Cond
	sent   http.Header // header as it was when the status was written
	code   int
	body   bytes.Buffer
	stream bool  // the client reads while the handler writes
	end    error // io.EOF when the handler has returned; the cause if the exchange ended otherwise
}

func newExchange(cancel context.CancelFunc) *exchange {
	x := &exchange{started: make(chan struct{}), header: http.Header{}, cancel: cancel}
	x.change = sync.NewCond(&x.mu)
	return x
}

func (x *exchange) serve(handler http.Handler, req *http.Request) {
	end := io.EOF
	defer func() {
		if r := recover(); r != nil { // http.ErrAbortHandler, usually
			end = fmt.Errorf("the server aborted the response: %v", r)
		}
		x.close(end)
		x.cancel()
	}()
	handler.ServeHTTP(x, req)
}

func (x *exchange) response(req *http.Request) *http.Response {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sendHeader(http.StatusOK)
	return &http.Response{
		Status: http.StatusText(x.code), StatusCode: x.code, Header: x.sent, Body: x, Request: req, ContentLength: -1,
		Proto: "HTTP/2.0", ProtoMajor: 2,
	}
}

// sendHeader fixes status and header; the first call counts. The caller holds mu.
func (x *exchange) sendHeader(code int) {
	if x.code == 0 {
		x.code, x.sent = code, x.header.Clone()
	}
}

func (x *exchange) close(end error) {
	x.mu.Lock()
	if x.end == nil {
		x.end = end
	}
	x.mu.Unlock()
	x.change.Broadcast()
	x.startedOnce.Do(func() { close(x.started) })
}

// The methods that the handler calls.

// Header implements http.ResponseWriter.
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(code int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sendHeader(code)
}

// maxUnread bounds the bytes of a stream that are written and not yet read.
const maxUnread = 1 << 20

// Write implements http.ResponseWriter. It blocks while a stream has maxUnread bytes that are not read yet. After the
// client has closed the body it drops b and returns no error: the end of its context stops the handler, and the library
// would log an error.
func (x *exchange) Write(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.stream && x.body.Len() > maxUnread && x.end == nil {
		x.change.Wait()
	}
	if x.end != nil {
		return len(b), nil
	}
	x.sendHeader(http.StatusOK)
	n, err := x.body.Write(b)
	x.change.Broadcast()
	return n, err
}

// Flush implements http.Flusher.
func (x *exchange) Flush() {
	x.mu.Lock()
	x.sendHeader(http.StatusOK)
	x.stream = true
	x.mu.Unlock()
	x.startedOnce.Do(func() { close(x.started) })
}

// CloseNotify implements the deprecated http.CloseNotifier: the library requires it of a writer that streams. The
// channel never delivers, because the context of the request ends a watch.
func (x *exchange) CloseNotify() <-chan bool { return nil }

// The methods that the client calls.

var errBodyClosed = errors.New("the response body is closed")

// Read implements io.Reader. It blocks until more of the body is written.
func (x *exchange) Read(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.body.Len() == 0 && x.end == nil {
		x.change.Wait()
	}
	if x.body.Len() == 0 {
		return 0, x.end
	}
	x.change.Broadcast()
	return x.body.Read(b)
}

// Close implements io.Closer. It ends the context of a handler that still writes.
func (x *exchange) Close() error {
	x.cancel()
	x.close(errBodyClosed)
	return nil
}
