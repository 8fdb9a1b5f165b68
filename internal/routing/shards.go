package routing

import "maps"

// shardCount decides the cost of a change: a copy of two shards, and of shardCount pointers. The cost of a lookup does
// not depend on it. With 10,000 Services a shard holds 40.
const shardCount = 256

// shards is an immutable map whose changed copies are cheap: an edit copies only the shards that it changes. Readers of
// the old map are not affected.
type shards[K comparable, V any] struct {
	hash  func(K) uint32
	parts [shardCount]map[K]V
}

func (s *shards[K, V]) get(k K) (V, bool) {
	v, ok := s.parts[s.hash(k)%shardCount][k]
	return v, ok
}

// edit starts a changed copy of s. It does not change s.
func (s *shards[K, V]) edit() *edit[K, V] {
	return &edit[K, V]{shards: *s}
}

// An edit is a copy of shards that may still be changed.
type edit[K comparable, V any] struct {
	shards[K, V]
	owned [shardCount]bool // the part is this edit's own copy
}

func (e *edit[K, V]) own(k K) map[K]V {
	i := e.hash(k) % shardCount
	if !e.owned[i] {
		e.owned[i] = true
		e.parts[i] = maps.Clone(e.parts[i])
		if e.parts[i] == nil {
			e.parts[i] = map[K]V{}
		}
	}
	return e.parts[i]
}

func (e *edit[K, V]) set(k K, v V) { e.own(k)[k] = v }

func (e *edit[K, V]) remove(k K) {
	if _, there := e.get(k); there {
		delete(e.own(k), k)
	}
}

// fnv is FNV-1a. It is short and gives the same value in every process, unlike the hashes that resist an attacker. An
// attacker who chooses colliding Service names can only make one shard larger.
func fnv(h uint32, s string) uint32 {
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

const fnvStart = 2166136261

func hashName(n Name) uint32 { return fnv(fnv(fnvStart, n.Namespace)*31, n.Name) }

func hashDest(d Dest) uint32 {
	b := d.Addr.Addr().As16()
	h := fnv(fnvStart, string(b[:]))
	p := d.Addr.Port()
	return fnv(h, string([]byte{byte(p), byte(p >> 8), byte(d.Proto)}))
}
