package routing

import (
	"encoding/json"
	"net/netip"
	"testing"
)

func TestFrontendsInJSON(t *testing.T) {
	f := Frontend{
		Key:     Key{Kind: LoadBalancer, Addr: netip.MustParseAddr("fd00::1"), Port: 53, Proto: UDP},
		Service: Name{"default", "dns", "udp"}, Policy: Random,
		Inside: Pool{Backends: []Backend{{Addr: netip.MustParseAddrPort("10.0.0.1:53"), Weight: 1, Local: true}},
			Empty: Reject, Why: All},
		Outside: Pool{Empty: Drop, Why: NoneLocal},
		Allow:   []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var again Frontend
	if err := json.Unmarshal(data, &again); err != nil || !again.Equal(f) {
		t.Errorf("%s is read as %+v, %v", data, again, err)
	}
	if err := json.Unmarshal([]byte(`{"Kind":"Imaginary"}`), &again); err == nil {
		t.Error("a Kind that there is not is read")
	}
	var none Key
	if data, err := json.Marshal(none); err != nil || json.Unmarshal(data, &again.Key) != nil || again.Key.Kind != 0 {
		t.Errorf("none is %s, %v, read as %v", data, err, again.Key)
	}
}
