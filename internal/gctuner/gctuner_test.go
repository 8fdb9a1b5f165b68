package gctuner

import "testing"

func TestIdleAfterWork(t *testing.T) {
	const mb = 1 << 20
	tests := []struct {
		name   string
		totals []uint64 // MB allocated at each measurement
		want   []bool
	}{
		{"work, then rest", []uint64{100, 300, 310, 320}, []bool{false, false, true, false}},
		{"a start and then nothing", []uint64{70, 75, 80}, []bool{false, true, false}},
		{"never at rest", []uint64{100, 200, 300, 400}, []bool{false, false, false, false}},
		{"little by little", []uint64{10, 20, 30, 40, 50, 60, 70, 80}, []bool{false, false, false, true, false, false, false,
			true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d idleDetector
			for i, total := range tt.totals {
				if got := d.observe(total * mb); got != tt.want[i] {
					t.Errorf("measurement %d, at %d MB: %v, want %v", i, total, got, tt.want[i])
				}
			}
		})
	}
}

func TestPercentFor(t *testing.T) {
	const mb = 1 << 20
	for live, want := range map[uint64]int{0: 400, 10 * mb: 400, 64 * mb: 200, 128 * mb: 100, 160 * mb: 80,
		4096 * mb: 60} {
		if got := percentFor(live); got != want {
			t.Errorf("with %d MB live: %d, want %d", live/mb, got, want)
		}
	}
}
