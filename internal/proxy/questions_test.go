package proxy

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"viaduct/internal/routing"
)

func TestQuestions(t *testing.T) {
	s := newStage(t, service("web", "10.96.0.1", 0))
	s.createSlice(slice("web-1", "web", "10.0.0.1"))
	s.run()
	s.next()
	receive(t, s.applied)
	handler := s.proxy.QuestionHandler(func() string { return "nft" })
	ask := func(path string, to any) (code int, body string) {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code == http.StatusOK {
			if err := json.Unmarshal(w.Body.Bytes(), to); err != nil {
				t.Errorf("%s: %s: %v", path, w.Body, err)
			}
		}
		return w.Code, w.Body.String()
	}
	var state State
	if code, body := ask("/debug/services/shop/web", &state); code != http.StatusOK || state.Mode != "nft" ||
		state.Applied.IsZero() || state.Node.Name != "here" {
		t.Errorf("web: %d %s", code, body)
	}
	if code, body := ask("/debug/services/shop/none", nil); code != http.StatusNotFound ||
		body != "this proxy serves no Service shop/none\n" {
		t.Errorf("none: %d %s", code, body)
	}
	var trace Trace
	if code, body := ask("/debug/trace?from=10.0.0.9&to=10.96.0.1:80", &trace); code != http.StatusOK || !trace.Found ||
		!trace.Outside || trace.Frontend.Dest().Proto != routing.TCP {
		t.Errorf("trace: %d %s", code, body)
	}
	if _, body := ask("/debug/trace?to=10.96.0.1:80&proto=UDP", &trace); trace.Found || trace.Outside {
		t.Errorf("trace from here by UDP: %s", body)
	}
	for _, bad := range []string{"from=x&to=10.96.0.1:80", "to=10.96.0.1", "to=10.96.0.1:80&proto=ICMP"} {
		if code, body := ask("/debug/trace?"+bad, nil); code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", bad, code, body)
		}
	}
}
