package takeover

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The kernel lists a virtual server in the form that it accepts.
func TestServerEncodeDecode(t *testing.T) {
	for _, s := range []server{
		{netip.MustParseAddr("10.96.0.10"), 53, unix.IPPROTO_UDP},
		{netip.MustParseAddr("fd00:96::a"), 443, unix.IPPROTO_TCP},
	} {
		message := append(make([]byte, nl.SizeofGenlmsg), s.encode().Serialize()...)
		if got := decodeServer(message); got != s {
			t.Errorf("%+v is decoded as %+v", s, got)
		}
	}
	want := []byte{
		44, 0, 1, 0x80, // nested
		6, 0, 1, 0, 2, 0, 0, 0, // family
		6, 0, 2, 0, 17, 0, 0, 0, // protocol
		20, 0, 3, 0, 10, 96, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		6, 0, 4, 0, 0, 53, 0, 0, // port, in network byte order
	}
	want[0] = byte(len(want))
	got := server{netip.MustParseAddr("10.96.0.10"), 53, unix.IPPROTO_UDP}.encode().Serialize()
	if nl.NativeEndian().Uint16([]byte{1, 0}) == 1 && !bytes.Equal(got, want) {
		t.Errorf("encoded as\n%v, want\n%v", got, want)
	}
}

func FuzzServer(f *testing.F) {
	f.Add(append(make([]byte, nl.SizeofGenlmsg), server{netip.MustParseAddr("10.96.0.10"), 53,
		unix.IPPROTO_UDP}.encode().Serialize()...))
	f.Add([]byte{0, 0, 0, 0, 4, 0, 1, 0x80})
	f.Fuzz(func(_ *testing.T, message []byte) { decodeServer(message) })
}

func TestWhichSetsListNodePorts(t *testing.T) {
	for name, want := range map[string]uint16{
		"KUBE-NODE-PORT-TCP": unix.IPPROTO_TCP, "KUBE-NODE-PORT-LOCAL-SCTP-HASH": unix.IPPROTO_SCTP,
		"KUBE-6-NODE-PORT-UDP":        unix.IPPROTO_UDP,
		"KUBE-HEALTH-CHECK-NODE-PORT": 0, "KUBE-CLUSTER-IP": 0,
	} {
		if got, _ := listsNodePorts(name); got != want {
			t.Errorf("%s: %d", name, got)
		}
	}
}
