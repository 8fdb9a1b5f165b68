package endpoints_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// weather is how likely each fault is, in percent of the requests that it can happen to. The zero value is fair.
type weather struct {
	conflict int // a write is refused with 409, as if somebody had been faster
	refuse   int // a write is refused with 500 or 429
	lost     int // a write is done, and its answer does not come
	late     int // a write is answered with an error, and done some operations later all the same
	slow     int // a request is held up for some operations before it is done
	stall    int // a piece of a watch is held up for some operations
	gone     int // the start of a list or a watch is refused with 410
}

var errAnswerLost = errors.New("connection reset after the request was sent")

// faults stand between a controller and the API server. What they do is drawn from a seed; how long they hold something
// up is counted in operations of the author, so that no clock is asked.
type faults struct {
	mu       sync.Mutex // protects all that follows
	rng      *rand.Rand
	weather  weather
	turn     int           // operations done
	turned   chan struct{} // closed at the next one
	hurry    int           // controllers that are being stopped, and wait for what they have sent
	underWay int           // writes that are sent or will be
	settled  chan struct{} // closed when underWay falls to 0, and made anew
	writes   []string      // all that went through: the process, the method and the path
	idle     []string      // those that changed nothing
	streams  map[*stream]bool
	drop     func(*http.Request) bool // writes to answer with 200 and not to do: what a test of the test plants
}

func newFaults(seed uint64) *faults {
	return &faults{
		rng: rand.New(rand.NewPCG(seed, 2)), turned: make(chan struct{}), settled: make(chan struct{}),
		streams: map[*stream]bool{},
	}
}

// next counts one operation: what waits for it goes on.
func (f *faults) next() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.turn++
	close(f.turned)
	f.turned = make(chan struct{})
}

// set changes the weather. In fair weather nothing is held up any longer.
func (f *faults) set(w weather) {
	f.mu.Lock()
	f.weather = w
	f.mu.Unlock()
	f.next()
}

// plant has writes answered with 200 that are not done.
func (f *faults) plant(drop func(*http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop = drop
}

// hits draws whether a fault happens.
func (f *faults) hits(percent func(weather) int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rng.IntN(100) < percent(f.weather)
}

func (f *faults) draw(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rng.IntN(n)
}

// stopping lets what a controller waits for go on while it is stopped: the author waits for that, so no operation would
// free it.
func (f *faults) stopping(stop func()) {
	f.mu.Lock()
	f.hurry++
	f.mu.Unlock()
	f.next()
	stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hurry--
}

// hold waits for up to 20 operations, for fair weather, or for the end of ctx; and if somebody waits for it, until that
// one is to stop.
func (f *faults) hold(ctx context.Context, awaited bool) {
	f.mu.Lock()
	until := f.turn + 1 + f.rng.IntN(20)
	f.mu.Unlock()
	for {
		f.mu.Lock()
		turned, over := f.turned, f.turn >= until || f.weather == weather{} || awaited && f.hurry > 0
		f.mu.Unlock()
		if over {
			return
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return
		}
	}
}

// begin and end count a write under way.
func (f *faults) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.underWay++
}

func (f *faults) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.underWay--; f.underWay == 0 {
		close(f.settled)
		f.settled = make(chan struct{})
	}
}

// quiet gives nil if no write is under way, and else what is closed when that is so.
func (f *faults) quiet() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.underWay == 0 {
		return nil
	}
	return f.settled
}

// written are the writes of a process that went through.
func (f *faults) written(by string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.writes), func(what string) bool { return !strings.HasPrefix(what, by+" ") })
}

// cut ends some of the watches, between two events or within one.
func (f *faults) cut() {
	f.mu.Lock()
	var cut []*stream
	for s := range f.streams {
		if s.mayEnd && f.rng.IntN(2) == 0 {
			s.ended = []error{io.EOF, io.ErrUnexpectedEOF}[f.rng.IntN(2)]
			cut = append(cut, s)
		}
	}
	f.mu.Unlock()
	for _, s := range cut {
		s.ReadCloser.Close()
	}
}

// around wraps the transport of one client.
func (f *faults) around(next http.RoundTripper) http.RoundTripper { return &line{f, next} }

// line is one client's transport with the faults on it.
type line struct {
	*faults
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (l *line) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet {
		return l.read(req)
	}
	l.begin()
	defer l.end()
	body, err := bodyOf(req)
	if err != nil {
		return nil, err
	}
	// they are sent from the side, and one that is refused is sent again for half a minute
	if strings.HasSuffix(req.URL.Path, "/events") {
		return l.write(req, body)
	}
	if l.planted(req) {
		return answer(req, http.StatusOK, req.Header.Get("Content-Type"), body), nil
	}
	switch {
	case l.hits(func(w weather) int { return w.conflict }):
		return refusal(req, apierrors.NewConflict(schema.GroupResource{Resource: "any"}, "it", errors.New("drawn"))), nil
	case l.hits(func(w weather) int { return w.refuse }):
		return l.overload(req), nil
	case l.hits(func(w weather) int { return w.late }):
		l.begin()
		go l.later(req.Clone(context.WithoutCancel(req.Context())), body)
		return nil, errAnswerLost
	case l.hits(func(w weather) int { return w.slow }):
		l.hold(req.Context(), true)
	}
	resp, err := l.write(req, body)
	if err == nil && l.hits(func(w weather) int { return w.lost }) {
		resp.Body.Close()
		return nil, errAnswerLost
	}
	return resp, err
}

func bodyOf(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	defer req.Body.Close()
	return io.ReadAll(req.Body)
}

func (l *line) planted(req *http.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drop != nil && l.drop(req)
}

// later does a write whose sender has been told that it failed.
func (l *line) later(req *http.Request, body []byte) {
	defer l.end()
	l.hold(req.Context(), false)
	if resp, err := l.write(req, body); err == nil {
		resp.Body.Close()
	}
}

// write does a write, and notes it.
func (l *line) write(req *http.Request, body []byte) (*http.Response, error) {
	req.Body = io.NopCloser(bytes.NewReader(body))
	resp, err := l.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(got))
	what := req.UserAgent() + " " + req.Method + " " + req.URL.Path
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes = append(l.writes, what)
	if req.Method == http.MethodPut && resp.StatusCode == http.StatusOK && versionIn(body) == versionIn(got) {
		l.idle = append(l.idle, what)
	}
	return resp, nil
}

// versionIn is the resourceVersion of an object as it travels, "" if there is none.
func versionIn(body []byte) string {
	obj, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	if err != nil {
		return ""
	}
	m, err := meta.Accessor(obj)
	if err != nil {
		return ""
	}
	return m.GetResourceVersion()
}

// overload refuses a request as a server does that has too much to do. With Retry-After the client sends it again by
// itself.
func (l *line) overload(req *http.Request) *http.Response {
	switch l.draw(3) {
	case 0:
		return refusal(req, apierrors.NewInternalError(errors.New("drawn")))
	case 1:
		return refusal(req, apierrors.NewTooManyRequestsError("drawn"))
	}
	resp := refusal(req, apierrors.NewTooManyRequestsError("drawn"))
	resp.Header.Set("Retry-After", strconv.Itoa(0))
	return resp
}

// read does a list or starts a watch.
func (l *line) read(req *http.Request) (*http.Response, error) {
	if l.hits(func(w weather) int { return w.gone }) {
		return refusal(req, apierrors.NewResourceExpired("drawn")), nil
	}
	if l.hits(func(w weather) int { return w.slow }) {
		l.hold(req.Context(), true)
	}
	resp, err := l.next.RoundTrip(req)
	if err != nil || !strings.Contains(req.URL.RawQuery, "watch=true") || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	s := &stream{ReadCloser: resp.Body, faults: l.faults, ctx: req.Context()}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams[s] = true
	resp.Body = s
	return resp, nil
}

// stream is the body of a watch.
type stream struct {
	io.ReadCloser
	faults *faults
	ctx    context.Context
	// something has come: a client counts a watch without an event as a failure, and waits long before the next
	mayEnd bool
	ended  error // what its reader gets once it is cut
}

// Read implements io.Reader.
func (s *stream) Read(b []byte) (int, error) {
	if s.faults.hits(func(w weather) int { return w.stall }) {
		s.faults.hold(s.ctx, true)
	}
	n, err := s.ReadCloser.Read(b)
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.mayEnd = s.mayEnd || n > 0
	if s.ended != nil {
		return 0, s.ended
	}
	return n, err
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.faults.mu.Lock()
	delete(s.faults.streams, s)
	s.faults.mu.Unlock()
	return s.ReadCloser.Close()
}

func refusal(req *http.Request, err *apierrors.StatusError) *http.Response {
	status := err.Status()
	status.Kind, status.APIVersion = "Status", "v1"
	body, encodeErr := runtime.Encode(scheme.Codecs.LegacyCodec(schema.GroupVersion{Version: "v1"}), &status)
	if encodeErr != nil {
		panic(encodeErr) // a Status is always encodable
	}
	return answer(req, int(status.Code), runtime.ContentTypeJSON, body)
}

func answer(req *http.Request, code int, contentType string, body []byte) *http.Response {
	return &http.Response{
		StatusCode: code, Status: http.StatusText(code), Request: req, ContentLength: int64(len(body)),
		Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(bytes.NewReader(body)),
	}
}
