package annotations

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func noted(key, value string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Annotations: map[string]string{key: value}}
}

func TestBalancingOf(t *testing.T) {
	for _, tt := range []struct {
		key, value string
		want       Balancing
		says       string // "": it is taken
	}{
		{Policy, "round-robin", Balancing{Policy: RoundRobin}, ""},
		{Policy, "RoundRobin", Balancing{Policy: Random},
			"must be one of random, round-robin, source-hash, least-connections"},
		{SlowStart, "30s", Balancing{Policy: Random, SlowStart: 30 * time.Second}, ""},
		{SlowStart, "10ms", Balancing{Policy: Random}, "must be a time from 1s to 1h0m0s"},
		{SlowStart, "2h", Balancing{Policy: Random}, "must be a time from 1s to 1h0m0s"},
		{SlowStart, "", Balancing{Policy: Random}, "must be a time"},
	} {
		for _, selector := range []map[string]string{nil, {"app": "web"}} {
			svc := &v1.Service{ObjectMeta: noted(tt.key, tt.value), Spec: v1.ServiceSpec{Selector: selector}}
			got, errs := BalancingOf(svc)
			_, all := OfService(svc)
			if got != tt.want || (len(errs) > 0) != (tt.says != "") || len(all) != len(errs) {
				t.Errorf("%s: %s: %+v, %v, %v; want %+v", tt.key, tt.value, got, errs, all, tt.want)
			}
			if len(errs) > 0 && !strings.Contains(all.ToAggregate().Error(), tt.says) {
				t.Errorf("%s: %s: %v, want %q", tt.key, tt.value, all, tt.says)
			}
		}
	}
}

func TestPodWeight(t *testing.T) {
	for value, want := range map[string]uint32{"0": 0, "7": 7, "1000": 1000, "1001": 1, "-1": 1, "": 1, "2.5": 1} {
		pod := &v1.Pod{ObjectMeta: noted(Weight, value)}
		got, errs := PodWeight(pod)
		if refused := len(OfPod(pod)) > 0; got != want || refused != (len(errs) > 0) || refused != (want == 1) {
			t.Errorf("%q: %d, %v; want %d", value, got, errs, want)
		}
	}
}

func TestSliceWeights(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")
	s := &discovery.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{Weight: "5",
		Weights: "10.0.0.1=0, fd00::1=7"}}}
	w, errs := SliceWeights(s)
	if len(errs) > 0 || w.Of(a) != 0 || w.Of(b) != 7 || w.Of(b.Next()) != 5 {
		t.Errorf("%+v, %v", w, errs)
	}
	for value, says := range map[string]string{"": "of the form address=weight", "10.0.0.1": "of the form",
		"x=1": "of the form", "10.0.0.1=1,10.0.0.1=2": "is there twice", "10.0.0.1=-1": "from 0 to 1000"} {
		s := &discovery.EndpointSlice{ObjectMeta: noted(Weights, value)}
		w, errs := SliceWeights(s)
		_, all := OfSlice(s)
		if len(errs) != 1 || len(all) != 1 || !strings.Contains(all[0].Error(), says) || w.Of(a) != 1 {
			t.Errorf("%q: %+v, %v, %v; want %q", value, w, errs, all, says)
		}
	}
}

func TestWeightsAreReadAsTheyAreWritten(t *testing.T) {
	weights := map[netip.Addr]uint32{netip.MustParseAddr("10.0.0.10"): 3, netip.MustParseAddr("10.0.0.9"): 0,
		netip.MustParseAddr("fd00::1"): 1000}
	text := FormatWeights(weights)
	if text != "10.0.0.9=0,10.0.0.10=3,fd00::1=1000" {
		t.Errorf("written as %s", text)
	}
	w, errs := SliceWeights(&discovery.EndpointSlice{ObjectMeta: noted(Weights, text)})
	for a, want := range weights {
		if len(errs) > 0 || w.Of(a) != want {
			t.Errorf("%s is read as %v, %v", text, w, errs)
		}
	}
	since := map[netip.Addr]int64{netip.MustParseAddr("10.0.0.9"): 1764280000}
	s := &discovery.EndpointSlice{ObjectMeta: noted(ReadySince, FormatReadySince(since))}
	if got := SliceReadySince(s); got[netip.MustParseAddr("10.0.0.9")] != 1764280000 {
		t.Errorf("%v is read as %v", since, got)
	}
	if got := SliceReadySince(&discovery.EndpointSlice{ObjectMeta: noted(ReadySince, "?")}); got != nil {
		t.Errorf("nonsense is read as %v", got)
	}
}
