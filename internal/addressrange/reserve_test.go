package addressrange

import "testing"

func TestReservationsDoNotOverlap(t *testing.T) {
	one, err := Reserve(150, 159)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Release()
	two, err := Reserve(150, 159)
	if err != nil {
		t.Fatal(err)
	}
	defer two.Release()
	for _, r := range []*Reservation{one, two} {
		if err := Check(Services(prefixes(t, r.Services.String()), Here), Pods(prefixes(t, r.Pods.String()),
			Here)); err != nil {
			t.Errorf("%v: %v", r, err)
		}
		if second := r.Services.Addr().As4()[1]; second < 150 || second > 159 {
			t.Errorf("%s is outside of the wanted addresses", r.Services)
		}
	}
	if one.Services.Overlaps(two.Services) || one.Services.Overlaps(two.Pods) || one.Pods.Overlaps(two.Pods) {
		t.Errorf("%s, %s and %s, %s overlap", one.Services, one.Pods, two.Services, two.Pods)
	}
}
