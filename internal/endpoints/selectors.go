package endpoints

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// selectors find the Services that may select a Pod by one look-up a label, however many Services there are. Each is filed under one
// of the labels it asks for; whether the rest match is asked of package membership.
type selectors struct {
	mu    sync.RWMutex // protects the following
	filed map[string]map[types.NamespacedName]bool
	under map[types.NamespacedName]string
}

func newSelectors() *selectors {
	return &selectors{filed: map[string]map[types.NamespacedName]bool{}, under: map[types.NamespacedName]string{}}
}

// set files a Service under its selector; an empty one takes it out.
func (s *selectors) set(key types.NamespacedName, selector map[string]string) {
	entry := ""
	if k, ok := firstKey(selector); ok {
		entry = labelEntry(key.Namespace, k, selector[k])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.under[key]; was != "" && was != entry {
		delete(s.filed[was], key)
		if len(s.filed[was]) == 0 {
			delete(s.filed, was)
		}
		delete(s.under, key)
	}
	if entry == "" {
		return
	}
	if s.filed[entry] == nil {
		s.filed[entry] = map[types.NamespacedName]bool{}
	}
	s.filed[entry][key] = true
	s.under[key] = entry
}

// maySelect lists the Services that may select a Pod with these labels.
func (s *selectors) maySelect(namespace string, labels map[string]string) []types.NamespacedName {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var keys []types.NamespacedName
	for k, v := range labels {
		for key := range s.filed[labelEntry(namespace, k, v)] {
			keys = append(keys, key)
		}
	}
	return keys
}

// labelEntry names one label of one namespace. A slash cannot be in a namespace, nor an equals sign in a label's key.
func labelEntry(namespace, key, value string) string { return namespace + "/" + key + "=" + value }

func firstKey(m map[string]string) (string, bool) {
	first, any := "", false
	for k := range m {
		if !any || k < first {
			first, any = k, true
		}
	}
	return first, any
}
