package endpoints

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// survey counts down the Services that are to be looked at once the controller has begun to work.
type survey struct {
	mu     sync.Mutex // protects the following
	left   map[types.NamespacedName]bool
	began  time.Time
	result surveyed
}

// surveyed is what a first look at everything took.
type surveyed struct {
	services, writes int
	time             time.Duration
}

func (s *survey) begin(now time.Time, keys map[types.NamespacedName]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.began, s.result = keys, now, surveyed{services: len(keys)}
}

// wrote counts a write, while the survey lasts.
func (s *survey) wrote() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.writes++
}

// done says that a Service is as it should be, and whether it was the last one that had not been.
func (s *survey) done(key types.NamespacedName, now time.Time) (surveyed, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left[key] {
		return surveyed{}, false
	}
	delete(s.left, key)
	s.result.time = now.Sub(s.began)
	return s.result, len(s.left) == 0
}
